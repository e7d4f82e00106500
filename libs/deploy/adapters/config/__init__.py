"""Reads and validates service and environment files."""

"""Compares a release with the one before it."""

"""Reads the state and the records of a fleet."""

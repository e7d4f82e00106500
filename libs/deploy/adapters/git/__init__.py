"""Checkouts and their history, from git."""

"""The history of a checkout, from git."""

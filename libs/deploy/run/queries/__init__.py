"""Reads what hosts know and changes nothing."""

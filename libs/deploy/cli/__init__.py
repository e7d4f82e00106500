"""Talks: one file a verb, wiring and rendering; never holds logic."""

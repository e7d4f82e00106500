"""Packaging and the target graph, from Pants."""

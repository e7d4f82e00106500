"""Rendering for terminals, pipes and files."""

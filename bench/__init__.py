"""Ratios against the plain way, measured side by side in one run; nothing here asserts a time."""

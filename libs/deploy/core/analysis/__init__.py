"""Compares a release with the one before it and decides whether its rollout continues."""

"""Performs the steps of a plan."""

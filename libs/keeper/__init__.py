"""Watches a host between deploys: brings back what should serve and doesn't; recreates and removes nothing.

It runs on each host in a container of its own, on Python's standard library alone (docs/adr/0013).
"""

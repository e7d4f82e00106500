"""Starts or restarts the containers of a host that should run and don't, between deploys and during them.

It runs on each host in a container of its own, with nothing but Python's standard library (docs/adr/0013).
"""

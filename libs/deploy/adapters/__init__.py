"""Adapters: implementations of the ports, each over one technology."""

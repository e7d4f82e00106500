"""Simulated hosts: an engine, files, edges and a clock that share one state."""

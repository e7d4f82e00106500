"""Simulated hosts, each with an engine, files and an edge, under one clock."""

"""Exports metrics of a host's engine, containers and edge to Prometheus.

The deploy tool copies it to each host, where it runs in the Python base image on the standard library. It only reads:
it starts, stops and changes nothing.
"""

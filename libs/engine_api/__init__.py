"""HTTP client of a host's Docker engine, for the programs that run on hosts: `exporter` and `watchdog`.

The deploy tool copies it to hosts beside each of them, so it uses nothing but Python's standard library.
"""

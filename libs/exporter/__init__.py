"""What a host tells of its engine, its containers and its edge, as Prometheus metrics.

It runs on each host in the Python base image, of the standard library alone, and imports nothing of ours; the deploy
tool ships its files. It only ever reads: it starts, stops and changes nothing.
"""

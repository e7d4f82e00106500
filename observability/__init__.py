"""Rules, alerts and dashboards as code: what is written here becomes the files beside it, which are committed.

`python3 -m observability` writes them anew; tests hold the two against each other.
"""

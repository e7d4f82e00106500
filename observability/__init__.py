"""Alert rules and dashboards as code.

`python3 -m observability` generates the committed files in this folder; a test compares them with the code.
"""

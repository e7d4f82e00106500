"""Installs the tools that everything else runs on. Needs only Python 3.11 and its standard library."""

"""The deploy library: core decides, adapters touch, run carries out, cli talks."""

__version__ = "0.1.0"

"""The deploy library: `core` decides, `adapters` do I/O, `run` has the use cases, `cli` has the verbs."""

__version__ = "0.1.0"

"""Decides: values and pure functions; never does I/O, never reads a clock."""

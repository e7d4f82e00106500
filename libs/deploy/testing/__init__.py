"""Simulators of the ports, with state that can be told to break."""

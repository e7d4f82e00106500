"""Simulators of the ports. They have state and can inject faults."""

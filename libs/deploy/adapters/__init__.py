"""Touches: one adapter a port, each over one library; never decides."""

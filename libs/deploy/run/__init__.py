"""Carries out: use cases over ports; never prints, never imports an adapter."""

"""Reaching, observing and locking hosts."""

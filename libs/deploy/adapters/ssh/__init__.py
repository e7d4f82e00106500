"""Hosts over SSH, with paramiko."""

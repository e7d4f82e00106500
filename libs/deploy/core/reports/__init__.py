"""Describes a rollout after its end: log, report page, trace, metrics, status."""

"""What is shown about a rollout afterwards: its log, page, trace and metrics."""

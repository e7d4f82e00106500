"""A whole environment on this machine: hosts, an image registry, AWS (ECR and secret stores) and monitoring.

`lifecycle` creates and removes sandboxes, `state` lists them. The result is an environment file of the same form as
production's, so the deploy tool treats a sandbox like any other environment.
"""

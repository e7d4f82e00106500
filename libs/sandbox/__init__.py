"""A whole environment on this machine: hosts, a registry, ECR's control plane and what watches it.

What it writes is an environment file as production has one; nothing that deploys ever asks what made it.
`lifecycle` makes and removes sandboxes, `state` says which there are.
"""

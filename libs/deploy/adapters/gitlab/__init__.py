"""GitLab: the job's variables, deployments and web identity."""

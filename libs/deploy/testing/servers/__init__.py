"""Real protocols in this process: SSH, a registry, GitLab, Prometheus, secret stores."""

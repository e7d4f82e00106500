"""Servers of real protocols in the test's process: SSH, HTTP, a registry, GitLab, Prometheus, secret stores."""

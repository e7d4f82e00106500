"""Benchmarks that compare this project with plain Docker Compose, both measured in the same run."""

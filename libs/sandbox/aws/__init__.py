"""A sandbox's AWS: ECR and secret stores, served by a process of their own."""

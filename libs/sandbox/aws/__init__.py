"""A sandbox's AWS: an ECR control plane and secret stores in a process of their own."""

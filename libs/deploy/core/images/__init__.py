"""OCI images as data: configurations, layers, base image recipes."""

"""The use cases, written against the ports. They report events instead of printing."""

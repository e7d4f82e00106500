"""The story that `ship demo` tells on a sandbox, and its recording."""

"""The tools that set-up brings, one module for each kind."""

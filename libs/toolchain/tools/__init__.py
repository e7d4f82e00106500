"""The tools that set-up installs, one module for each kind."""

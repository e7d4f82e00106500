"""The command line: verbs, output and wiring."""

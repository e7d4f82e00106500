"""The command lines and scripts that hosts run, and the parsers of what they print."""

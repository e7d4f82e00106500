"""The Flask service: three pages and two JSON routes about the machine it runs on."""

"""Flask service with three pages and two JSON routes about the machine that it runs on."""

"""Load generator: sends requests at a fixed rate, records every one, and draws the record as a chart."""

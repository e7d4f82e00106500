"""Plans: the steps, and the rules that choose them."""

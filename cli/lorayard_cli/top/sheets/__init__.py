"""Each table of `top`: its columns, and how its rows come of what was read."""

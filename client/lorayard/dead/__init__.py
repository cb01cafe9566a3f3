"""Dead letters: jobs that the yard gave up, to be looked at, tried again or thrown away."""

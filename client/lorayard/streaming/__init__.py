"""Following a job while it runs: its events in their order, and its text as it comes."""

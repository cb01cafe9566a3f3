"""What an operator sees of a yard, read from the bus alone: behind `client.snapshot()` and its service."""

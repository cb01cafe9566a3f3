"""Metrics of what is on the bus, read from the bus alone: they hold with every other process dead."""

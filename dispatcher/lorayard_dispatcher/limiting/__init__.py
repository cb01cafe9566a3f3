"""Limits of admission as pure values: no bus, no clock of their own."""

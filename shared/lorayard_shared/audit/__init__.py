"""Audit records: how those of one writer hang together, and whether they still do."""

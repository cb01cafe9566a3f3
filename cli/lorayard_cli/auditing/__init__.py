"""Audit records, read by people: listed, exported, verified."""

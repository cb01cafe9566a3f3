"""Reads adapter folders from untrusted hands: publishers before a byte is sent, workers before use."""

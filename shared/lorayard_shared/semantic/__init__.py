"""Choosing an adapter by what a prompt says: examples in, a small classifier out, a verdict per prompt."""

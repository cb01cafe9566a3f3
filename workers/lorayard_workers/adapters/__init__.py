"""Adapter folders: judged against the base model, named and found. Nothing here imports torch."""

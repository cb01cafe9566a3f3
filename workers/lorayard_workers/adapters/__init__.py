"""Adapter folders: reading, judging, naming and finding them. Nothing here imports torch."""

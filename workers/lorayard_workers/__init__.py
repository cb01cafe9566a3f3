"""Holds adapters in tiers, runs batches of mixed adapters, stores results."""

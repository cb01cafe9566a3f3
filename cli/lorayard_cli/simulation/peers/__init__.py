"""Other systems' routing rules, one file per family, on the same modelled workers.

Each is our reading of a rule, on one cost model: it says how the rule fares, not how the product does.
"""

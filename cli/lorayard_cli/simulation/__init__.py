"""A modelled yard: the real planner and the real eviction on workers that only keep time.

No bus, no model, no threads: one run is a function of its values and its seed, so that policies can be
compared on traffic that nobody has, and on one's own recorded traffic, in seconds.
"""

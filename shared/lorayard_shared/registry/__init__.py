"""Which adapter versions there are, and their files: what publishers and workers both use."""

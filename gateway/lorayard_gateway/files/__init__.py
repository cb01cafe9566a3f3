"""`/v1/files`: what HTTP clients upload, and what batches write."""

"""What the benchmark of batches consists of."""

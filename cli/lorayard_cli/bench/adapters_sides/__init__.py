"""What `lorayard bench adapters` does: real transfers and rollouts, and the yard's own code on values."""

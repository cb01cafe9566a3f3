"""Where adapters live between disk and a forward pass: host tier, device slots, eviction."""

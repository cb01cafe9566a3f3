"""What the bench of the gateway is made of."""

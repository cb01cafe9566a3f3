"""What the bench of the bus measures beside its pace."""

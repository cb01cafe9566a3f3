"""What keys do to the chosen row: said first, done when confirmed, all through the public client."""

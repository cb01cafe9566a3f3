"""What `bench engine` asks of its figures and how it tells them. No torch here."""

"""Text files from the disk, made ready for a prompt."""

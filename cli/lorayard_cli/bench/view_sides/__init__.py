"""Parts of `lorayard bench view`."""

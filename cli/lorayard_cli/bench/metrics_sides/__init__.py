"""Parts of `lorayard bench metrics`."""

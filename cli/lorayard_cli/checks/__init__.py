"""What `lorayard doctor` looks at."""

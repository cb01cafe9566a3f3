"""The `lorayard` command and the embedded yard."""

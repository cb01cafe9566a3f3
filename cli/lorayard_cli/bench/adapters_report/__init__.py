"""The table of `lorayard bench adapters`: what each figure must reach, and how it is shown."""

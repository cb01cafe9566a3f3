"""The table of `lorayard bench routing`: what is run, what is read out of it, and what it must reach."""

"""`lorayard top`: the yard on one screen of a terminal, and what can be done to it there."""

"""What `lorayard bench calibration` is made of: a live yard, what it was seen to do, and the model of it."""

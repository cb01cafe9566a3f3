"""What travels between the parts of a yard: messages as frozen models, and their codec."""

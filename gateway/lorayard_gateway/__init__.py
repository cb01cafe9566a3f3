"""The OpenAI-compatible door: HTTP in front of a yard, a client of the bus like any other (E7)."""

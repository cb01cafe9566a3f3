"""The Python client of a yard."""

"""The phases of a plan, one function each."""

"""Whether a version that is tried out is worse than the one it is measured by. Pure."""

"""The sides that `bench engine` measures against each other, in one process."""

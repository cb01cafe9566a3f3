"""The demo: a generated data set, three trained adapters, real documents."""

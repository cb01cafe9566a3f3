"""Takes jobs from the bus, groups them by adapter, and hands them to workers."""

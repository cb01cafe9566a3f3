"""What two processes of a yard need: the bus, its declarations, leases, settings and logs."""

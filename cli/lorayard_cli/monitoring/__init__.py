"""What watches a yard from outside: alert rules for Prometheus."""

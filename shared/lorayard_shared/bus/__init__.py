"""The bus: connection and recovery, declarations, pulls, watches, stored results."""

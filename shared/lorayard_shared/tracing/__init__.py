"""Spans of OpenTelemetry, where a setting asks for them; nothing of it is imported otherwise."""

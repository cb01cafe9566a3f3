"""The embedded yard: bus, dispatcher and workers as supervised children of one process."""

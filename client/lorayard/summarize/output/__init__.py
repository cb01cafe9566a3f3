"""Where summaries go: lines, a file for each document, or one report."""

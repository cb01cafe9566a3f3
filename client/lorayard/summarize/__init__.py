"""Summaries of documents of any length: read, split, summarized in parts, and the parts combined.

Not imported by `import lorayard`; what reads documents comes with the extras `documents` and `office`.
"""

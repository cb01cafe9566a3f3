"""What dispatchers do with a job before they give it out, and workers when no dispatcher lives."""

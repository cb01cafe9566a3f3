"""Recurring jobs: what a cron expression means, and what is to be done when."""

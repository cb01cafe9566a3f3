"""Why a job waits, or why it went where it went: what is found of it, and the sentence that says it."""

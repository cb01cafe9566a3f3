"""`/v1/batches`: files of lines that are answered while nobody waits, by whichever gateway has room."""

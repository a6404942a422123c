"""A lab notebook for task-aware video compression. Importing this package imports nothing else."""

"""Celery workers: configuration, tasks of three lines, and the worker inside the embedded process."""

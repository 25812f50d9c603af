"""The room that knows Celery: its tasks, messages, signals and workers."""

"""What is done with the examples that Celery ships: three lines, a workflow, and calls."""

"""What application code calls to start executions and learn of their ends."""

"""What programs use: clients, workers, and both in one."""

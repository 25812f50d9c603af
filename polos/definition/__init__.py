"""What the user writes: workflows, their context and steps, and the handles of executions."""

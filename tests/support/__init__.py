"""Real servers and real programs for the tests."""

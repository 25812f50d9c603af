"""The server as a process of its own: how it is started, found again, asked and ended."""

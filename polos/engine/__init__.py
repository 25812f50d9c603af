"""Runs attempts: claim, replay, park, commit, wake."""

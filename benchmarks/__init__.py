"""Measurements, as tables of ratios taken in one run."""

"""Correlation, differences of means and their intervals, for tools."""

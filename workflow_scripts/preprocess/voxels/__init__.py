"""Grids and binary morphology."""

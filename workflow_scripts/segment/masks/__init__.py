"""Masks of several members joined, and brought back to the grid that was acquired."""

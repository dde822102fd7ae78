"""Slices, panels and the style of figures."""

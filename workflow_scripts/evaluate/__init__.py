"""Scores of segmentations against reference masks, and the statistics over them."""

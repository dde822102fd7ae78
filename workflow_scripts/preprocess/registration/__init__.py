"""Affine registration of brains with elastix, and the mid-sagittal plane."""

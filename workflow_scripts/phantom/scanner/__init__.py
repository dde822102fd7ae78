"""The scans of a phantom: grids, noise, defects, files."""

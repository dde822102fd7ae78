"""What the readers share: their contract, folders, DICOM slices, NIfTI grids and masks."""

"""Reading DICOM folders: files, headers, series, and the choice among them."""

"""Reading DICOM folders: files, headers, and the series that they make."""

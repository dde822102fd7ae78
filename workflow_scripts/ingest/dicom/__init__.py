"""What ingest does with the series of a DICOM folder: the choice among them, what is lost, plain copies."""

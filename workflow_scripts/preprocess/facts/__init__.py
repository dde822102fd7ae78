"""What is known of a case, whatever the quality of its images: read by the split, the probe and the report."""

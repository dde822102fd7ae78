"""From scans to batches of augmented views."""

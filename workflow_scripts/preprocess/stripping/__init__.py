"""Methods of skull stripping."""

"""A new patient: the call of the workflow, and what is published of it."""

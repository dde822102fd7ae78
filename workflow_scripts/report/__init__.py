"""Tables, figures and pages: what a reader of the study sees."""

"""Tables, figures and pages for the readers of the study."""

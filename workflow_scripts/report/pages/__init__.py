"""HTML pages: templates and what goes into them."""

"""A model that travels: its folder, what it knows of its training set, and what it says of itself."""

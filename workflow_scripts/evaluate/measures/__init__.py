"""What is measured of masks, and what is concluded from it."""

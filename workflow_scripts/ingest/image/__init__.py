"""From a converted scan to an upright CT image, and masks that follow it."""

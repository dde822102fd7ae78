"""Preprocessing (paper section 3.2): resample, strip, register, mirror, clip; one module a rule."""

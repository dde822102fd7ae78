"""The study as the rules see it: configuration, case sheet, paths, inputs. Imports no numpy, torch or pandas."""

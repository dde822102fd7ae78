"""The study as the workflow sees it: configuration, case sheet, targets. Imports no numpy, torch or pandas."""

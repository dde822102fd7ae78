"""Readers of public data sets: a downloaded folder becomes a case sheet, masks and a list of what was left out."""

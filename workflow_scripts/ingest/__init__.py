"""Ingest: what a hospital or a challenge hands over becomes NIfTI in HU, upright, with its acquired geometry kept."""

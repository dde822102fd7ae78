"""Patients: their strata, their assignment to splits, and leakage between these."""

"""Stage segment: every case of a cohort segmented by each model of an arm, and the models' vote."""

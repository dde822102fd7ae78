"""Jobs that take many steps of the study at once: all of a case, or the masks of a batch of cases (`jobs: cases`).

Snakemake's own work grows with the number of jobs, and so does a cluster's. Each of these jobs runs a Snakemake of its
own (`run`), which makes what is not up to date, and ends with a record of the files: what later stages wait for.
"""

FORCED = "FORCED_STEPS"  # variable of their environment: lines; what the call forces, or `ALL_STEPS`
ALL_STEPS = "all"
INSIDE = "INSIDE_WHOLE_JOB"  # variable of their Snakemake: the call of the study has checked and told all there is
SETUP = "STUDY_SETUP"  # variable of the environment of all jobs: the configuration, JSON

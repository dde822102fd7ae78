# Targets by cohort and by arm; a stage has all_<stage> (Snakefile), and any file is a target by its name.
for _cohort in dict.fromkeys(case.cohort for case in STUDY.cases):

    rule:
        name:
            f"cohort_{_cohort}"
        input:
            lambda wildcards, cohort=_cohort: cohort_files(STUDY, cohort),


for _arm_name in STUDY.arms:

    rule:
        name:
            f"arm_{_arm_name}"
        input:
            lambda wildcards, arm=_arm_name: arm_files(STUDY, arm) if STUDY.cases else [],

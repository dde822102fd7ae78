from workflow_scripts.phantom.layouts import LAYOUTS, is_folder


def _phantom_files(cohort):
    """Files and folders of a case of the cohort, as the case sheet names them."""
    case_folder = os.path.join(config["cases_root"], cohort, "{case}")
    return [
        (directory if is_folder(name) else str)(os.path.join(case_folder, name))
        for name in LAYOUTS[cohort].files.values()
    ]


# The demo's cohorts are made here; in a real study this section is absent and the scans are there already.
if "phantom" in config:
    for _cohort in sorted({case.cohort for case in STUDY.cases}):

        rule:
            name:
                f"phantom_{_cohort}"
            output:
                *_phantom_files(_cohort),
                truth=directory(f"{OUT}/truth/{_cohort}/{{case}}"),
            params:
                cohort=_cohort,
                folder=os.path.join(config["cases_root"], _cohort, "{case}"),
                seed=config["seed"],
                voxel_mm=config["phantom"]["voxel_mm"],
                slice_mm=config["phantom"]["slice_mm"],
            log:
                f"{OUT}/logs/phantom/phantom/{_cohort}/{{case}}.log",
            benchmark:
                f"{OUT}/benchmarks/phantom/phantom/{_cohort}/{{case}}.tsv"
            threads: 1
            resources:
                mem_mb=lambda wildcards, attempt: attempt * config["resources"]["preprocess"]["mem_mb"],
                runtime=config["resources"]["preprocess"]["runtime"],
            conda:
                "../envs/imaging.yaml"
            shell:
                "python -m workflow_scripts.phantom.head --cohort {params.cohort} --case {wildcards.case} "
                "--seed {params.seed} --voxel-mm {params.voxel_mm} --slice-mm {params.slice_mm} "
                "--out {params.folder:q} --truth {output.truth:q} > {log:q} 2>&1"

from workflow_scripts.phantom.scanner.layouts import LAYOUTS, is_folder

# The demo's cohort: scans of head phantoms where the case sheet says that scans lie. Only with a `phantom` section.
if "phantom" in config:

    PHANTOM_ROOT = config["cases_root"]

    for _cohort, _layout in LAYOUTS.items():

        rule:
            """Make an artificial head of this cohort."""
            name:
                f"phantom_{_cohort}"
            output:
                [
                    (
                        local(directory(f"{PHANTOM_ROOT}/{_cohort}/{{case}}/{name}"))
                        if is_folder(name)
                        else local(f"{PHANTOM_ROOT}/{_cohort}/{{case}}/{name}")
                    )
                    for name in _layout.files.values()
                ],
                truth=directory(f"<truth>/{_cohort}/{{case}}"),
            params:
                cohort=_cohort,
                out=f"{PHANTOM_ROOT}/{_cohort}/{{case}}",
                seed=config["seed"],
                voxel_mm=config["phantom"]["voxel_mm"],
                slice_mm=config["phantom"]["slice_mm"],
                code=code("phantom.head"),
            log:
                f"<logs>/phantom/{_cohort}/{{case}}.log",
            benchmark:
                f"<benchmarks>/phantom/{_cohort}/{{case}}.tsv"
            resources:
                **request("gather"),
            conda:
                "../envs/imaging.yaml"
            shell:
                "python -m workflow_scripts.phantom.head --cohort={params.cohort} --case={wildcards.case}"
                " --seed {params.seed} --voxel-mm {params.voxel_mm} --slice-mm {params.slice_mm}"
                " --out {params.out:q} --out-truth {output.truth:q} > {log:q} 2>&1"

    rule phantom_attributes:
        """Gather what is known of the artificial heads."""
        input:
            [f"<truth>/{case.cohort}/{case.case}" for case in STUDY.cases],
        output:
            "<truth>/attributes.tsv",
        params:
            code=code("phantom.attributes"),
        log:
            "<logs>/phantom/attributes.log",
        benchmark:
            "<benchmarks>/phantom/attributes.tsv"
        resources:
            **request("small"),
        conda:
            "../envs/imaging.yaml"
        shell:
            "python -m workflow_scripts.phantom.attributes --truth {input:q} --out {output:q} > {log:q} 2>&1"

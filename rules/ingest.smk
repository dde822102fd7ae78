rule ingest_ncct:
    input:
        lambda wildcards: STUDY.case(wildcards.cohort, wildcards.case).ncct,
    output:
        image=f"{OUT}/ingest/{{cohort}}/{{case}}/ncct.nii.gz",
        record=f"{OUT}/ingest/{{cohort}}/{{case}}/ncct.json",
    params:
        settings=options({key.replace("_", "-"): value for key, value in config["ingest"].items()}),
        series=lambda wildcards: options({"series": STUDY.case(wildcards.cohort, wildcards.case).ncct_series}),
        stripped=lambda wildcards: (
            "--stripped" if "ncct" in STUDY.case(wildcards.cohort, wildcards.case).stripped else ""
        ),
        code=code("ingest.ingest_ncct"),
    log:
        f"{OUT}/logs/ingest/ingest_ncct/{{cohort}}/{{case}}.log",
    benchmark:
        f"{OUT}/benchmarks/ingest/ingest_ncct/{{cohort}}/{{case}}.tsv"
    threads: 1
    resources:
        mem_mb=grows(config["resources"]["preprocess"]["mem_mb"]),
        runtime=grows(config["resources"]["preprocess"]["runtime"]),
    conda:
        "../envs/imaging.yaml"
    shell:
        "python -m workflow_scripts.ingest.ingest_ncct --cohort {wildcards.cohort} --case {wildcards.case}"
        " --input {input:q} {params.series} {params.stripped} {params.settings}"
        " --image {output.image:q} --record {output.record:q} > {log:q} 2>&1"


rule ingest_mri:
    input:
        _mri_path,
    output:
        f"{OUT}/ingest/{{cohort}}/{{case}}/{{modality}}.nii.gz",
    params:
        min_slices=config["ingest"]["min_slices"],
        code=code("ingest.ingest_mri"),
    log:
        f"{OUT}/logs/ingest/ingest_mri/{{cohort}}/{{case}}-{{modality}}.log",
    benchmark:
        f"{OUT}/benchmarks/ingest/ingest_mri/{{cohort}}/{{case}}-{{modality}}.tsv"
    threads: 1
    resources:
        mem_mb=grows(config["resources"]["preprocess"]["mem_mb"]),
        runtime=grows(config["resources"]["preprocess"]["runtime"]),
    conda:
        "../envs/imaging.yaml"
    shell:
        "python -m workflow_scripts.ingest.ingest_mri --cohort {wildcards.cohort} --case {wildcards.case}"
        " --modality {wildcards.modality} --input {input:q} --min-slices {params.min_slices} --image {output:q}"
        " > {log:q} 2>&1"


rule ingest_lesion:
    input:
        unpack(_lesion_inputs),
    output:
        f"{OUT}/ingest/{{cohort}}/{{case}}/lesion.nii.gz",
    params:
        record=lambda wildcards, input: ["--record", input.record] if "record" in input.keys() else [],
        code=code("ingest.ingest_lesion"),
    log:
        f"{OUT}/logs/ingest/ingest_lesion/{{cohort}}/{{case}}.log",
    benchmark:
        f"{OUT}/benchmarks/ingest/ingest_lesion/{{cohort}}/{{case}}.tsv"
    threads: 1
    resources:
        mem_mb=grows(config["resources"]["preprocess"]["mem_mb"]),
        runtime=grows(config["resources"]["preprocess"]["runtime"]),
    conda:
        "../envs/imaging.yaml"
    shell:
        "python -m workflow_scripts.ingest.ingest_lesion --cohort {wildcards.cohort} --case {wildcards.case}"
        " --lesion {input.lesion:q} --reference {input.reference:q} {params.record:q} --output {output:q} > {log:q} 2>&1"

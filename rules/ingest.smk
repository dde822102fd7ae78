rule ingest_ncct:
    input:
        of_study(inputs.ncct),
    output:
        image="<ingested>/ncct.nii.gz",
        record="<ingested>/ncct.json",
    params:
        settings=options({key.replace("_", "-"): value for key, value in config["ingest"].items()}),
        series=of_study(arguments.series),
        stripped=of_study(arguments.stripped),
        code=code("ingest.ingest_ncct"),
    log:
        "<logs>/ingest/ingest_ncct/{cohort}/{case}.log",
    benchmark:
        "<benchmarks>/ingest/ingest_ncct/{cohort}/{case}.tsv"
    resources:
        **request("preprocess"),
    conda:
        "../envs/imaging.yaml"
    shell:
        "python -m workflow_scripts.ingest.ingest_ncct --cohort {wildcards.cohort} --case {wildcards.case}"
        " --input {input:q} {params.series} {params.stripped} {params.settings}"
        " --image {output.image:q} --record {output.record:q} > {log:q} 2>&1"


rule ingest_mri:
    input:
        of_study(inputs.mri),
    output:
        "<ingested>/{modality}.nii.gz",
    params:
        min_slices=config["ingest"]["min_slices"],
        code=code("ingest.ingest_mri"),
    log:
        "<logs>/ingest/ingest_mri/{cohort}/{case}-{modality}.log",
    benchmark:
        "<benchmarks>/ingest/ingest_mri/{cohort}/{case}-{modality}.tsv"
    resources:
        **request("preprocess"),
    conda:
        "../envs/imaging.yaml"
    shell:
        "python -m workflow_scripts.ingest.ingest_mri --cohort {wildcards.cohort} --case {wildcards.case}"
        " --modality {wildcards.modality} --input {input:q} --min-slices {params.min_slices} --image {output:q}"
        " > {log:q} 2>&1"


rule ingest_lesion:
    input:
        unpack(of_study(inputs.drawn_lesion)),
    output:
        "<ingested>/lesion.nii.gz",
    params:
        record=lambda wildcards, input: ["--record", input.record] if "record" in input.keys() else [],
        code=code("ingest.ingest_lesion"),
    log:
        "<logs>/ingest/ingest_lesion/{cohort}/{case}.log",
    benchmark:
        "<benchmarks>/ingest/ingest_lesion/{cohort}/{case}.tsv"
    resources:
        **request("preprocess"),
    conda:
        "../envs/imaging.yaml"
    shell:
        "python -m workflow_scripts.ingest.ingest_lesion --cohort {wildcards.cohort} --case {wildcards.case}"
        " --lesion {input.lesion:q} --reference {input.reference:q} {params.record:q} --output {output:q} > {log:q} 2>&1"

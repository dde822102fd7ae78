rule ingest_ncct:
    """Read one head CT from DICOM or NIfTI, and stand it upright."""
    input:
        ancient(given(of_study(inputs.ingest.ncct))),
    output:
        image=head("<ingested>/ncct.nii.gz"),
        record="<ingested>/ncct.json",
    params:
        settings=of_study(arguments.ncct_limits),
        given=of_study(arguments.ncct_path),
        source=of_study(arguments.ncct_source),
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
        "python -m workflow_scripts.ingest.ingest_ncct --cohort={wildcards.cohort} --case={wildcards.case}"
        " --input {params.given:q} {params.series} {params.stripped} {params.settings}"
        " --out-image {output.image:q} --out-record {output.record:q} > {log:q} 2>&1"


rule ingest_mri:
    """Read one MRI of a case."""
    input:
        ancient(given(of_study(inputs.ingest.mri))),
    output:
        image=head("<ingested>/{modality}.nii.gz"),
        record="<ingested>/{modality}.json",
    params:
        given=of_study(inputs.ingest.mri_path),
        source=of_study(arguments.mri_source),
        volume=of_study(arguments.mri_volume),
        limits=options(
            {f"{key}-slices": config["ingest"][f"{key.replace('-', '_')}_slices"] for key in ("min", "max-missing")}
        ),
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
        "python -m workflow_scripts.ingest.ingest_mri --cohort={wildcards.cohort} --case={wildcards.case}"
        " --modality {wildcards.modality} --input {params.given:q} {params.volume} {params.limits}"
        " --out-image {output.image:q} --out-record {output.record:q} > {log:q} 2>&1"


rule ingest_lesion:
    """Read a lesion mask, on the grid of the image that it was drawn on."""
    input:
        unpack(given(of_study(inputs.ingest.drawn_lesion))),
    output:
        "<ingested>/lesion.nii.gz",
    params:
        record=lambda wildcards, input: ["--record", input.record] if "record" in input.keys() else [],
        given=of_study(arguments.lesion_path),
        labels=of_study(arguments.lesion_labels),
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
        "python -m workflow_scripts.ingest.ingest_lesion --cohort={wildcards.cohort} --case={wildcards.case}"
        " --lesion {params.given:q} --reference {input.reference:q} {params.record:q} {params.labels} --out {output:q} > {log:q} 2>&1"


rule ingest_brain:
    """Read a brain mask that the case sheet gives."""
    input:
        unpack(given(of_study(inputs.ingest.drawn_brain))),
    output:
        "<ingested>/brain.nii.gz",
    params:
        given=of_study(arguments.brain_mask_path),
        code=code("ingest.ingest_brain"),
    log:
        "<logs>/ingest/ingest_brain/{cohort}/{case}.log",
    benchmark:
        "<benchmarks>/ingest/ingest_brain/{cohort}/{case}.tsv"
    resources:
        **request("preprocess"),
    conda:
        "../envs/imaging.yaml"
    shell:
        "python -m workflow_scripts.ingest.ingest_brain --cohort={wildcards.cohort} --case={wildcards.case}"
        " --brain {params.given:q} --reference {input.reference:q} --record {input.record:q} --out {output:q}"
        " > {log:q} 2>&1"

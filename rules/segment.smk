rule segment:
    """Segment the cases of a cohort with one model."""
    input:
        checkpoint="<training>/checkpoint.pth",
        images=of_study(inputs.segment.images_to_segment),
    output:
        # A folder, since the model is loaded once for all cases of the cohort.
        directory("<segmented>/seed-{seed}/{cohort}"),
    params:
        preprocess=stage_folder("preprocessed"),
        cases=of_study(arguments.cohort_cases),
        step=config["segment"]["step"],
        options=options({"mirroring": config["segment"]["mirroring"]}),
        code=code("segment.segment"),
    log:
        "<logs>/segment/segment/{arm}/seed-{seed}/{cohort}.log",
    benchmark:
        "<benchmarks>/segment/segment/{arm}/seed-{seed}/{cohort}.tsv"
    threads: threads("segment")
    resources:
        **request("segment"),
    conda:
        "../envs/deeplearning.yaml"
    shell:
        "python -m workflow_scripts.segment.segment --checkpoint {input.checkpoint:q}"
        " --preprocess {params.preprocess:q} --cohort={wildcards.cohort} --cases {params.cases}"
        " --step {params.step} {params.options} --threads {threads} --gpus $GPUS_SEGMENT --out {output:q} > {log:q} 2>&1"


rule ensemble:
    """Join the masks of the seeds, and bring them onto the grid of the scan."""
    input:
        members=of_study(inputs.segment.members),
        ncct="<ingested>/ncct.nii.gz",
        record="<ingested>/ncct.json",
    output:
        mask="<segmented>/ensemble/{cohort}/{case}.nii.gz",
        original="<segmented>/original/{cohort}/{case}.nii.gz",
        slices="<segmented>/original/{cohort}/{case}.json",
        upright="<segmented>/upright/{cohort}/{case}.nii.gz",
        agreement="<segmented>/agreement/{cohort}/{case}.nii.gz",
        probability="<segmented>/probability/{cohort}/{case}.nii.gz",
    params:
        vote=config["segment"]["vote"],
        code=code("segment.ensemble"),
    log:
        "<logs>/segment/ensemble/{arm}/{cohort}/{case}.log",
    benchmark:
        "<benchmarks>/segment/ensemble/{arm}/{cohort}/{case}.tsv"
    resources:
        **request("page"),
    conda:
        "../envs/deeplearning.yaml"
    shell:
        "python -m workflow_scripts.segment.ensemble --cohort={wildcards.cohort} --case={wildcards.case}"
        " --members {input.members:q} --ncct {input.ncct:q} --record {input.record:q} --vote {params.vote}"
        " --out-mask {output.mask:q} --out-original {output.original:q} --out-slices {output.slices:q}"
        " --out-upright {output.upright:q} --out-agreement {output.agreement:q}"
        " --out-probability {output.probability:q} > {log:q} 2>&1"

rule segment:
    """Segment a case with one model."""
    input:
        checkpoint="<training>/checkpoint.pth",
        images=of_study(inputs.segment.images_to_segment),
    output:
        mask="<segmented>/seed-{seed}/{cohort}/{case}.nii.gz",
        probability="<segmented>/seed-{seed}/{cohort}/{case}.probability.nii.gz",
    params:
        preprocess=stage_folder("preprocessed"),
        out=lambda wildcards, output: str(Path(output.mask).parent),
        channels=lambda wildcards: STUDY.arm(wildcards.arm)["channels"],
        batch=batch,
        store=lambda wildcards: paths.file(
            STUDY.results, "state", "segment/{arm}/seed-{seed}/{cohort}".format(**wildcards)
        ),
        step=config["segment"]["step"],
        options=options({"mirroring": config["segment"]["mirroring"]}),
        code=code("segment.segment"),
    log:
        "<logs>/segment/segment/{arm}/seed-{seed}/{cohort}/{case}.log",
    benchmark:
        "<benchmarks>/segment/segment/{arm}/seed-{seed}/{cohort}/{case}.tsv"
    threads: threads("segment")
    resources:
        **request("segment"),
    conda:
        "../envs/deeplearning.yaml"
    shell:
        "python -m workflow_scripts.segment.segment --cohort={wildcards.cohort} --case={wildcards.case}"
        " --batch={params.batch} --checkpoint {input.checkpoint:q} --preprocess {params.preprocess:q}"
        " --channels {params.channels} --step {params.step} {params.options} --code {params.code}"
        " --threads {threads} --gpus $GPUS_SEGMENT --store {params.store:q} --out {params.out:q} > {log:q} 2>&1"


rule ensemble:
    """Join the masks of the seeds, and bring them onto the grid of the scan."""
    input:
        unpack(of_study(inputs.segment.members)),
        scan=of_study(inputs.segment.scan),
    output:
        mask="<segmented>/ensemble/{cohort}/{case}.nii.gz",
        original="<segmented>/original/{cohort}/{case}.nii.gz",
        slices="<segmented>/original/{cohort}/{case}.json",
        upright="<segmented>/upright/{cohort}/{case}.nii.gz",
        agreement="<segmented>/agreement/{cohort}/{case}.nii.gz",
        probability="<segmented>/probability/{cohort}/{case}.nii.gz",
    params:
        scan=where_kept(of_study(arguments.scan)),
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
        " --masks {input.masks:q} --probabilities {input.probabilities:q} {params.scan:q} --vote {params.vote}"
        " --out-mask {output.mask:q} --out-original {output.original:q} --out-slices {output.slices:q}"
        " --out-upright {output.upright:q} --out-agreement {output.agreement:q}"
        " --out-probability {output.probability:q} > {log:q} 2>&1"

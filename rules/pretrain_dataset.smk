from workflow_scripts.common.options import options

# The same for the datasets of pretraining and finetuning, or an encoder would not fit its arm.
DATASET_OPTIONS = options(
    {
        "spacing": config["preprocess"]["spacing_mm"],
        "gpu-memory": config["nnunet"]["gpu_memory_gb"],
        "patch-size": config["nnunet"]["patch_size"],
        "batch-size": config["nnunet"]["batch_size"],
        "features": config["nnunet"]["features"],
    }
)


def _image_set(wildcards):
    """The image set of a dataset's folder: its name, with -D for two channels."""
    sets = config["image_sets"]
    name = wildcards.images if wildcards.images in sets else wildcards.images.removesuffix("-D")
    if name not in sets:
        raise WorkflowError(f"{wildcards.images!r} is no entry of image_sets; there are {', '.join(sets)}.")
    return name


def _image_set_channels(wildcards):
    return ["ncct"] if wildcards.images in config["image_sets"] else ["ncct", "difference"]


def _image_set_images(wildcards):
    return [
        path
        for image in (*_image_set_channels(wildcards), "mirrored", "brain")
        for path in per_case(
            f"{OUT}/preprocess/{{cohort}}/{{case}}/{image}.nii.gz", STUDY.image_set_cases(_image_set(wildcards))
        )
    ]


rule pretrain_dataset:
    input:
        splits=f"{OUT}/split/splits.tsv",
        images=_image_set_images,
    output:
        fingerprint=f"{OUT}/pretrain/datasets/{{images}}/fingerprint.json",
        plans=f"{OUT}/pretrain/datasets/{{images}}/plans.json",
        dataset=f"{OUT}/pretrain/datasets/{{images}}/dataset.json",
        cases=f"{OUT}/pretrain/datasets/{{images}}/cases.tsv",
        arrays=directory(f"{OUT}/pretrain/datasets/{{images}}/arrays"),
        companions=directory(f"{OUT}/pretrain/datasets/{{images}}/companions"),
    params:
        # A folder, not the files: the paths of a large cohort are longer than a command line may be.
        preprocess=f"{OUT}/preprocess",
        cohorts=lambda wildcards: config["image_sets"][_image_set(wildcards)],
        channels=_image_set_channels,
        seen=config["pretrain"]["splits"],
        options=DATASET_OPTIONS,
        out=f"{OUT}/pretrain/datasets/{{images}}",
    log:
        f"{OUT}/logs/pretrain/pretrain_dataset/{{images}}.log",
    benchmark:
        f"{OUT}/benchmarks/pretrain/pretrain_dataset/{{images}}.tsv"
    threads: config["resources"]["dataset"]["threads"]
    resources:
        mem_mb=lambda wildcards, attempt: attempt * config["resources"]["dataset"]["mem_mb"],
        runtime=config["resources"]["dataset"]["runtime"],
    conda:
        "../envs/deeplearning.yaml"
    shell:
        "python -m workflow_scripts.pretrain.pretrain_dataset --splits-table {input.splits:q}"
        " --preprocess {params.preprocess:q} --cohorts {params.cohorts} --splits {params.seen}"
        " --channels {params.channels} {params.options} --threads {threads} --out {params.out:q} > {log:q} 2>&1"

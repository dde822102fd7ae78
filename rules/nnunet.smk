from workflow_scripts.study.options import options

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


def _arm(wildcards):
    arms = config["arms"]
    if wildcards.arm not in arms:
        raise WorkflowError(f"{wildcards.arm!r} is no entry of arms; there are {', '.join(arms)}.")
    return arms[wildcards.arm]


def _arm_settings(wildcards):
    arm = _arm(wildcards)
    return options({key.replace("_", "-"): value for key, value in {**arm, **config["finetune"]}.items()})


def _arm_base(wildcards):
    """Folder of the pretraining dataset that lends the arm plans and statistics, or None."""
    arm = _arm(wildcards)
    base = arm["pretraining"] or arm["statistics_from"]
    return f"{OUT}/pretrain/datasets/{STUDY.images(base)}" if base else None


def _finetune_dataset_inputs(wildcards):
    arm = _arm(wildcards)
    base = _arm_base(wildcards)
    images = [
        path
        for image in (*arm["channels"], "lesion")
        for path in per_case(f"{OUT}/preprocess/{{cohort}}/{{case}}/{image}.nii.gz", STUDY.labelled(arm["train"]))
    ]
    lent = {"fingerprint": f"{base}/fingerprint.json", "plans": f"{base}/plans.json"} if base else {}
    return {"splits": f"{OUT}/split/splits.tsv", "images": images, **lent}


def _encoder(wildcards):
    pretraining = _arm(wildcards)["pretraining"]
    return {"encoder": f"{OUT}/pretrain/{pretraining}/encoder.pt"} if pretraining else {}


def _segment_inputs(cohort):
    """Input function of a cohort's rule: the model and the images of the arm's channels."""

    def inputs(wildcards):
        return {
            "checkpoint": f"{OUT}/finetune/{{arm}}/seed-{{seed}}/checkpoint.pth",
            "images": [
                path
                for channel in _arm(wildcards)["channels"]
                for path in per_case(
                    f"{OUT}/preprocess/{{cohort}}/{{case}}/{channel}.nii.gz", STUDY.in_cohorts([cohort])
                )
            ],
        }

    return inputs


def _segmentations(member, cohort, suffix):
    return per_case(f"{OUT}/segment/{{arm}}/{member}/{{cohort}}/{{case}}{suffix}", STUDY.in_cohorts([cohort]))

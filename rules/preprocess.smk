PREPROCESS = config["preprocess"]
STRIPPING = PREPROCESS["skull_stripping"]
BACKGROUND_HU = PREPROCESS["clip_hu"][0]
RESAMPLING = arguments.resampling(STUDY)
REGISTRATION = arguments.registration(STUDY)


rule template:
    """Make the CT template, or take the one that the configuration gives."""
    input:
        **{name: local(path) for name, path in inputs.preprocess.given_template(STUDY).items()},
    output:
        template="<template>/template.nii.gz",
        mask="<template>/template_mask.nii.gz",
    params:
        given=as_options,
        spacing=PREPROCESS["template"]["spacing_mm"],
        code=code("preprocess.template"),
    log:
        "<logs>/preprocess/template.log",
    benchmark:
        "<benchmarks>/preprocess/template.tsv"
    resources:
        **request("preprocess"),
    conda:
        "../envs/imaging.yaml"
    shell:
        "python -m workflow_scripts.preprocess.template"
        " {params.given:q} --spacing {params.spacing}"
        " --out-template {output.template:q} --out-mask {output.mask:q}"
        " > {log:q} 2>&1"


rule weights:
    """Fetch and check the published weights of a network for skull stripping."""
    input:
        unpack(given(of_study(inputs.preprocess.given_weights))),
    output:
        "<weights>/{network}.weights",
    params:
        source=of_study(arguments.weights_source),
        code=code("preprocess.weights"),
    log:
        "<logs>/preprocess/weights/{network}.log",
    benchmark:
        "<benchmarks>/preprocess/weights/{network}.tsv"
    localrule: True
    conda:
        "../envs/skullstrip.yaml"
    shell:
        "python -m workflow_scripts.preprocess.weights --network {wildcards.network} {params.source:q} --out {output:q}"
        " > {log:q} 2>&1"


rule resample_ncct:
    """Resample a head CT to isotropic voxels."""
    input:
        "<ingested>/ncct.nii.gz",
    output:
        intermediate("<preprocessed>/resampled_ncct.nii.gz", head=True),
    params:
        resampling=RESAMPLING,
        background=config["ingest"]["hu_floor"],
        stripped=of_study(arguments.stripped),
        code=code("preprocess.resample_ncct"),
    log:
        "<logs>/preprocess/resample_ncct/{cohort}/{case}.log",
    benchmark:
        "<benchmarks>/preprocess/resample_ncct/{cohort}/{case}.tsv"
    resources:
        **request("preprocess"),
    conda:
        "../envs/imaging.yaml"
    shell:
        "python -m workflow_scripts.preprocess.resample_ncct --cohort={wildcards.cohort} --case={wildcards.case}"
        " --ncct {input:q} {params.resampling:q} {params.stripped}"
        " --background {params.background} --out {output:q}"
        " > {log:q} 2>&1"


rule brain_mask:
    """Find the brain in a head CT, and remove the rest."""
    input:
        unpack(of_study(inputs.preprocess.to_strip)),
    output:
        pseudo_t1=intermediate("<preprocessed>/pseudo_t1.nii.gz", head=True),
        mask="<preprocessed>/brain_mask.nii.gz",
        stripped=intermediate("<preprocessed>/stripped_ncct.nii.gz"),
        json="<preprocessed>/brain_mask.json",
    params:
        inputs=as_options,
        method=STRIPPING["ncct"],
        cross_check=STRIPPING["cross_check"],
        deepbet_grid=STRIPPING["deepbet_grid"],
        border_mm=STRIPPING["border_mm"]["ncct"],
        background=BACKGROUND_HU,
        stripped=of_study(arguments.stripped),
        code=code("preprocess.brain_mask"),
    log:
        "<logs>/preprocess/brain_mask/{cohort}/{case}.log",
    benchmark:
        "<benchmarks>/preprocess/brain_mask/{cohort}/{case}.tsv"
    threads: threads("skull_stripping")
    resources:
        **request("skull_stripping"),
    conda:
        "../envs/skullstrip.yaml"
    shell:
        "python -m workflow_scripts.preprocess.brain_mask --cohort={wildcards.cohort} --case={wildcards.case}"
        " {params.inputs:q} --method {params.method} --cross-check {params.cross_check}"
        " --deepbet-grid {params.deepbet_grid} --border-mm {params.border_mm} {params.stripped}"
        " --background {params.background} --threads {threads}"
        " --out-pseudo-t1 {output.pseudo_t1:q} --out-mask {output.mask:q}"
        " --out-stripped {output.stripped:q} --out-json {output.json:q}"
        " > {log:q} 2>&1"


rule prepare_mri:
    """Resample and skull-strip an MRI."""
    input:
        unpack(of_study(inputs.preprocess.mri_to_strip)),
    output:
        resampled=intermediate("<preprocessed>/resampled_{modality}.nii.gz", head=True),
        stripped=intermediate("<preprocessed>/stripped_{modality}.nii.gz"),
    params:
        inputs=as_options,
        resampling=RESAMPLING,
        method=of_study(inputs.preprocess.mri_stripping),
        deepbet_grid=STRIPPING["deepbet_grid"],
        border_mm=lambda wildcards: STRIPPING["border_mm"][wildcards.modality],
        code=code("preprocess.prepare_mri"),
    log:
        "<logs>/preprocess/prepare_mri/{cohort}/{case}-{modality}.log",
    benchmark:
        "<benchmarks>/preprocess/prepare_mri/{cohort}/{case}-{modality}.tsv"
    threads: threads("skull_stripping")
    resources:
        **request("skull_stripping"),
    conda:
        "../envs/skullstrip.yaml"
    shell:
        "python -m workflow_scripts.preprocess.prepare_mri --cohort={wildcards.cohort} --case={wildcards.case}"
        " {params.inputs:q} {params.resampling:q} --method {params.method}"
        " --deepbet-grid {params.deepbet_grid} --border-mm {params.border_mm} --threads {threads}"
        " --out-resampled {output.resampled:q} --out-stripped {output.stripped:q}"
        " > {log:q} 2>&1"


rule register_mri:
    """Register the MRI of a case to its CT."""
    input:
        ncct="<preprocessed>/stripped_ncct.nii.gz",
        brain="<preprocessed>/brain_mask.nii.gz",
        mri=of_study(inputs.preprocess.mri_to_register),
    output:
        affine="<preprocessed>/mri_to_ncct.txt",
        json="<preprocessed>/mri_to_ncct.json",
    params:
        aligned=of_study(arguments.aligned),
        registration=REGISTRATION,
        code=code("preprocess.register_mri"),
    log:
        "<logs>/preprocess/register_mri/{cohort}/{case}.log",
    benchmark:
        "<benchmarks>/preprocess/register_mri/{cohort}/{case}.tsv"
    # One thread: another number gives another transform in the last digits.
    resources:
        **request("preprocess"),
    conda:
        "../envs/imaging.yaml"
    shell:
        "python -m workflow_scripts.preprocess.register_mri --cohort={wildcards.cohort} --case={wildcards.case}"
        " --ncct {input.ncct:q} --brain {input.brain:q} --mri {input.mri:q} {params.aligned}"
        " {params.registration:q} --threads {threads} --out-affine {output.affine:q} --out-json {output.json:q}"
        " > {log:q} 2>&1"


rule apply_registration:
    """Bring an MRI onto the grid of the CT."""
    input:
        mri="<preprocessed>/stripped_{modality}.nii.gz",
        affine="<preprocessed>/mri_to_ncct.txt",
        grid="<preprocessed>/brain_mask.nii.gz",
    output:
        "<preprocessed>/registered_{modality}.nii.gz",
    params:
        code=code("preprocess.apply_registration"),
    log:
        "<logs>/preprocess/apply_registration/{cohort}/{case}-{modality}.log",
    benchmark:
        "<benchmarks>/preprocess/apply_registration/{cohort}/{case}-{modality}.tsv"
    resources:
        **request("preprocess"),
    conda:
        "../envs/imaging.yaml"
    shell:
        "python -m workflow_scripts.preprocess.apply_registration --cohort={wildcards.cohort} --case={wildcards.case}"
        " --mri {input.mri:q} --affine {input.affine:q} --grid {input.grid:q} --out {output:q}"
        " > {log:q} 2>&1"


rule contralateral:
    """Mirror a brain through its plane of symmetry."""
    input:
        unpack(of_study(inputs.preprocess.to_mirror)),
    output:
        affine="<preprocessed>/ncct_to_template.txt",
        image=intermediate("<preprocessed>/contralateral.nii.gz"),
        json="<preprocessed>/contralateral.json",
    params:
        inputs=as_options,
        background=BACKGROUND_HU,
        registration=REGISTRATION,
        code=code("preprocess.contralateral"),
    log:
        "<logs>/preprocess/contralateral/{cohort}/{case}.log",
    benchmark:
        "<benchmarks>/preprocess/contralateral/{cohort}/{case}.tsv"
    # One thread: another number gives another transform in the last digits.
    resources:
        **request("preprocess"),
    conda:
        "../envs/imaging.yaml"
    shell:
        "python -m workflow_scripts.preprocess.contralateral --cohort={wildcards.cohort} --case={wildcards.case}"
        " {params.inputs:q} --background {params.background} {params.registration:q} --threads {threads}"
        " --out-affine {output.affine:q} --out-image {output.image:q} --out-json {output.json:q}"
        " > {log:q} 2>&1"


rule finalise:
    """Crop and clip the images of a case: CT, mirrored CT, difference."""
    input:
        ncct="<preprocessed>/stripped_ncct.nii.gz",
        mirrored="<preprocessed>/contralateral.nii.gz",
        brain="<preprocessed>/brain_mask.nii.gz",
    output:
        ncct="<preprocessed>/ncct.nii.gz",
        mirrored="<preprocessed>/mirrored.nii.gz",
        difference="<preprocessed>/difference.nii.gz",
        brain="<preprocessed>/brain.nii.gz",
        crop="<preprocessed>/crop.json",
    params:
        clip=PREPROCESS["clip_hu"],
        margin=PREPROCESS["crop_margin_voxels"],
        code=code("preprocess.finalise"),
    log:
        "<logs>/preprocess/finalise/{cohort}/{case}.log",
    benchmark:
        "<benchmarks>/preprocess/finalise/{cohort}/{case}.tsv"
    resources:
        **request("preprocess"),
    conda:
        "../envs/imaging.yaml"
    shell:
        "python -m workflow_scripts.preprocess.finalise --cohort={wildcards.cohort} --case={wildcards.case}"
        " --ncct {input.ncct:q} --mirrored {input.mirrored:q} --brain {input.brain:q}"
        " --clip {params.clip} --margin {params.margin} --out-ncct {output.ncct:q} --out-mirrored {output.mirrored:q}"
        " --out-difference {output.difference:q} --out-brain {output.brain:q} --out-crop {output.crop:q}"
        " > {log:q} 2>&1"


rule lesion:
    """Bring a lesion mask onto the grid of the final images."""
    input:
        unpack(of_study(inputs.preprocess.lesion)),
    output:
        "<preprocessed>/lesion.nii.gz",
    params:
        inputs=as_options,
        code=code("preprocess.lesion"),
    log:
        "<logs>/preprocess/lesion/{cohort}/{case}.log",
    benchmark:
        "<benchmarks>/preprocess/lesion/{cohort}/{case}.tsv"
    resources:
        **request("preprocess"),
    conda:
        "../envs/imaging.yaml"
    shell:
        "python -m workflow_scripts.preprocess.lesion --cohort={wildcards.cohort} --case={wildcards.case}"
        " {params.inputs:q} --out {output:q}"
        " > {log:q} 2>&1"


rule describe_case:
    """Write facts and quality of a case, with its flags."""
    input:
        unpack(of_study(inputs.preprocess.to_describe)),
    output:
        "<preprocessed>/case.json",
    params:
        inputs=as_options,
        limits=options({key.replace("_", "-"): value for key, value in PREPROCESS["quality"].items()}),
        code=code("preprocess.describe_case"),
    log:
        "<logs>/preprocess/describe_case/{cohort}/{case}.log",
    benchmark:
        "<benchmarks>/preprocess/describe_case/{cohort}/{case}.tsv"
    resources:
        **request("preprocess"),
    conda:
        "../envs/imaging.yaml"
    shell:
        "python -m workflow_scripts.preprocess.describe_case --cohort={wildcards.cohort} --case={wildcards.case}"
        " {params.inputs:q} {params.limits:q} --out {output:q}"
        " > {log:q} 2>&1"

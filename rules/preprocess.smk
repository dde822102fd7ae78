from workflow_scripts.study.options import options

_PREPROCESSED = f"{OUT}/preprocess/{{cohort}}/{{case}}"
_INGESTED = f"{OUT}/ingest/{{cohort}}/{{case}}"
_TEMPLATE = f"{OUT}/preprocess/template"
_WEIGHTS = f"{OUT}/preprocess/weights"
_PREPROCESS = config["preprocess"]
_STRIPPING = _PREPROCESS["skull_stripping"]
_BACKGROUND_HU = _PREPROCESS["clip_hu"][0]
_RESAMPLING = [
    *options({"spacing": _PREPROCESS["spacing_mm"]}),
    "--antialias" if _PREPROCESS["antialias"] else "--no-antialias",
]
_REGISTRATION = options(
    {key.replace("_", "-"): value for key, value in _PREPROCESS["registration"].items()} | {"seed": config["seed"]}
)
_QUALITY_LIMITS = options({key.replace("_", "-"): value for key, value in _PREPROCESS["quality"].items()})


rule template:
    input:
        **{
            key: path
            for key, path in [("image", _PREPROCESS["template"]["image"]), ("mask", _PREPROCESS["template"]["mask"])]
            if path
        },
    output:
        template=f"{_TEMPLATE}/template.nii.gz",
        mask=f"{_TEMPLATE}/template_mask.nii.gz",
    params:
        given=_as_options,
        spacing=_PREPROCESS["template"]["spacing_mm"],
        code=code("preprocess.template"),
    log:
        f"{OUT}/logs/preprocess/template.log",
    benchmark:
        f"{OUT}/benchmarks/preprocess/template.tsv"
    threads: 1
    resources:
        mem_mb=grows(config["resources"]["preprocess"]["mem_mb"]),
        runtime=grows(config["resources"]["preprocess"]["runtime"]),
    conda:
        "../envs/imaging.yaml"
    shell:
        "python -m workflow_scripts.preprocess.template"
        " {params.given:q} --spacing {params.spacing}"
        " --out-template {output.template:q} --out-mask {output.mask:q}"
        " > {log:q} 2>&1"


rule weights:
    input:
        unpack(_given_weights),
    output:
        f"{_WEIGHTS}/{{network}}.weights",
    params:
        source=_weights_options,
        code=code("preprocess.weights"),
    log:
        f"{OUT}/logs/preprocess/weights/{{network}}.log",
    benchmark:
        f"{OUT}/benchmarks/preprocess/weights/{{network}}.tsv"
    threads: 1
    localrule: True
    conda:
        "../envs/skullstrip.yaml"
    shell:
        "python -m workflow_scripts.preprocess.weights --network {wildcards.network} {params.source:q} --out {output:q}"
        " > {log:q} 2>&1"


rule resample_ncct:
    input:
        f"{_INGESTED}/ncct.nii.gz",
    output:
        f"{_PREPROCESSED}/resampled_ncct.nii.gz",
    params:
        resampling=_RESAMPLING,
        background=config["ingest"]["hu_floor"],
        stripped=_stripped_flag,
        code=code("preprocess.resample_ncct"),
    log:
        f"{OUT}/logs/preprocess/resample_ncct/{{cohort}}/{{case}}.log",
    benchmark:
        f"{OUT}/benchmarks/preprocess/resample_ncct/{{cohort}}/{{case}}.tsv"
    threads: 1
    resources:
        mem_mb=grows(config["resources"]["preprocess"]["mem_mb"]),
        runtime=grows(config["resources"]["preprocess"]["runtime"]),
    conda:
        "../envs/imaging.yaml"
    shell:
        "python -m workflow_scripts.preprocess.resample_ncct --cohort {wildcards.cohort} --case {wildcards.case}"
        " --ncct {input:q} {params.resampling:q} {params.stripped}"
        " --background {params.background} --out {output:q}"
        " > {log:q} 2>&1"


rule brain_mask:
    input:
        **_weights_of(_STRIPPING["ncct"]),
        ncct=f"{_PREPROCESSED}/resampled_ncct.nii.gz",
    output:
        pseudo_t1=f"{_PREPROCESSED}/pseudo_t1.nii.gz",
        mask=f"{_PREPROCESSED}/brain_mask.nii.gz",
        stripped=f"{_PREPROCESSED}/stripped_ncct.nii.gz",
        json=f"{_PREPROCESSED}/brain_mask.json",
    params:
        inputs=_as_options,
        method=_STRIPPING["ncct"],
        cross_check=_STRIPPING["cross_check"],
        deepbet_grid=_STRIPPING["deepbet_grid"],
        border=_STRIPPING["border_mm"]["ncct"],
        background=_BACKGROUND_HU,
        stripped=_stripped_flag,
        code=code("preprocess.brain_mask"),
    log:
        f"{OUT}/logs/preprocess/brain_mask/{{cohort}}/{{case}}.log",
    benchmark:
        f"{OUT}/benchmarks/preprocess/brain_mask/{{cohort}}/{{case}}.tsv"
    threads: config["resources"]["skull_stripping"]["threads"]
    resources:
        mem_mb=grows(config["resources"]["skull_stripping"]["mem_mb"]),
        runtime=grows(config["resources"]["skull_stripping"]["runtime"]),
    conda:
        "../envs/skullstrip.yaml"
    shell:
        "python -m workflow_scripts.preprocess.brain_mask --cohort {wildcards.cohort} --case {wildcards.case}"
        " {params.inputs:q} --method {params.method} --cross-check {params.cross_check}"
        " --deepbet-grid {params.deepbet_grid} --border-mm {params.border} {params.stripped}"
        " --background {params.background} --threads {threads}"
        " --out-pseudo-t1 {output.pseudo_t1:q} --out-mask {output.mask:q}"
        " --out-stripped {output.stripped:q} --out-json {output.json:q}"
        " > {log:q} 2>&1"


rule prepare_mri:
    input:
        unpack(_prepare_mri_inputs),
    output:
        resampled=f"{_PREPROCESSED}/resampled_{{modality}}.nii.gz",
        stripped=f"{_PREPROCESSED}/stripped_{{modality}}.nii.gz",
    params:
        inputs=_as_options,
        resampling=_RESAMPLING,
        method=_mri_method,
        deepbet_grid=_STRIPPING["deepbet_grid"],
        border=lambda wildcards: _STRIPPING["border_mm"][wildcards.modality],
        code=code("preprocess.prepare_mri"),
    log:
        f"{OUT}/logs/preprocess/prepare_mri/{{cohort}}/{{case}}-{{modality}}.log",
    benchmark:
        f"{OUT}/benchmarks/preprocess/prepare_mri/{{cohort}}/{{case}}-{{modality}}.tsv"
    threads: config["resources"]["skull_stripping"]["threads"]
    resources:
        mem_mb=grows(config["resources"]["skull_stripping"]["mem_mb"]),
        runtime=grows(config["resources"]["skull_stripping"]["runtime"]),
    conda:
        "../envs/skullstrip.yaml"
    shell:
        "python -m workflow_scripts.preprocess.prepare_mri --cohort {wildcards.cohort} --case {wildcards.case}"
        " {params.inputs:q} {params.resampling:q} --method {params.method}"
        " --deepbet-grid {params.deepbet_grid} --border-mm {params.border} --threads {threads}"
        " --out-resampled {output.resampled:q} --out-stripped {output.stripped:q}"
        " > {log:q} 2>&1"


rule register_mri:
    input:
        ncct=f"{_PREPROCESSED}/stripped_ncct.nii.gz",
        brain=f"{_PREPROCESSED}/brain_mask.nii.gz",
        mri=lambda wildcards: f"{_PREPROCESSED}/stripped_{_case_with_mri(wildcards).mri_modality[0]}.nii.gz",
    output:
        affine=f"{_PREPROCESSED}/mri_to_ncct.txt",
        json=f"{_PREPROCESSED}/mri_to_ncct.json",
    params:
        aligned=lambda wildcards: "--aligned" if _case_with_mri(wildcards).mri_aligned else "",
        registration=_REGISTRATION,
        code=code("preprocess.register_mri"),
    log:
        f"{OUT}/logs/preprocess/register_mri/{{cohort}}/{{case}}.log",
    benchmark:
        f"{OUT}/benchmarks/preprocess/register_mri/{{cohort}}/{{case}}.tsv"
    threads: 1  # another number gives another transform in the last digits
    resources:
        mem_mb=grows(config["resources"]["preprocess"]["mem_mb"]),
        runtime=grows(config["resources"]["preprocess"]["runtime"]),
    conda:
        "../envs/imaging.yaml"
    shell:
        "python -m workflow_scripts.preprocess.register_mri --cohort {wildcards.cohort} --case {wildcards.case}"
        " --ncct {input.ncct:q} --brain {input.brain:q} --mri {input.mri:q} {params.aligned}"
        " {params.registration:q} --threads {threads} --out-affine {output.affine:q} --out-json {output.json:q}"
        " > {log:q} 2>&1"


rule apply_registration:
    input:
        mri=f"{_PREPROCESSED}/stripped_{{modality}}.nii.gz",
        affine=f"{_PREPROCESSED}/mri_to_ncct.txt",
        ncct=f"{_PREPROCESSED}/resampled_ncct.nii.gz",
    output:
        f"{_PREPROCESSED}/registered_{{modality}}.nii.gz",
    params:
        code=code("preprocess.apply_registration"),
    log:
        f"{OUT}/logs/preprocess/apply_registration/{{cohort}}/{{case}}-{{modality}}.log",
    benchmark:
        f"{OUT}/benchmarks/preprocess/apply_registration/{{cohort}}/{{case}}-{{modality}}.tsv"
    threads: 1
    resources:
        mem_mb=grows(config["resources"]["preprocess"]["mem_mb"]),
        runtime=grows(config["resources"]["preprocess"]["runtime"]),
    conda:
        "../envs/imaging.yaml"
    shell:
        "python -m workflow_scripts.preprocess.apply_registration --cohort {wildcards.cohort} --case {wildcards.case}"
        " --mri {input.mri:q} --affine {input.affine:q} --ncct {input.ncct:q} --out {output:q}"
        " > {log:q} 2>&1"


rule contralateral:
    input:
        unpack(_contralateral_inputs),
    output:
        affine=f"{_PREPROCESSED}/ncct_to_template.txt",
        image=f"{_PREPROCESSED}/contralateral.nii.gz",
        json=f"{_PREPROCESSED}/contralateral.json",
    params:
        inputs=_as_options,
        background=_BACKGROUND_HU,
        registration=_REGISTRATION,
        code=code("preprocess.contralateral"),
    log:
        f"{OUT}/logs/preprocess/contralateral/{{cohort}}/{{case}}.log",
    benchmark:
        f"{OUT}/benchmarks/preprocess/contralateral/{{cohort}}/{{case}}.tsv"
    threads: 1  # another number gives another transform in the last digits
    resources:
        mem_mb=grows(config["resources"]["preprocess"]["mem_mb"]),
        runtime=grows(config["resources"]["preprocess"]["runtime"]),
    conda:
        "../envs/imaging.yaml"
    shell:
        "python -m workflow_scripts.preprocess.contralateral --cohort {wildcards.cohort} --case {wildcards.case}"
        " {params.inputs:q} --background {params.background} {params.registration:q} --threads {threads}"
        " --out-affine {output.affine:q} --out-image {output.image:q} --out-json {output.json:q}"
        " > {log:q} 2>&1"


rule finalise:
    input:
        ncct=f"{_PREPROCESSED}/stripped_ncct.nii.gz",
        mirrored=f"{_PREPROCESSED}/contralateral.nii.gz",
        brain=f"{_PREPROCESSED}/brain_mask.nii.gz",
    output:
        ncct=f"{_PREPROCESSED}/ncct.nii.gz",
        mirrored=f"{_PREPROCESSED}/mirrored.nii.gz",
        difference=f"{_PREPROCESSED}/difference.nii.gz",
        brain=f"{_PREPROCESSED}/brain.nii.gz",
        crop=f"{_PREPROCESSED}/crop.json",
    params:
        clip=_PREPROCESS["clip_hu"],
        margin=_PREPROCESS["crop_margin_voxels"],
        code=code("preprocess.finalise"),
    log:
        f"{OUT}/logs/preprocess/finalise/{{cohort}}/{{case}}.log",
    benchmark:
        f"{OUT}/benchmarks/preprocess/finalise/{{cohort}}/{{case}}.tsv"
    threads: 1
    resources:
        mem_mb=grows(config["resources"]["preprocess"]["mem_mb"]),
        runtime=grows(config["resources"]["preprocess"]["runtime"]),
    conda:
        "../envs/imaging.yaml"
    shell:
        "python -m workflow_scripts.preprocess.finalise --cohort {wildcards.cohort} --case {wildcards.case}"
        " --ncct {input.ncct:q} --mirrored {input.mirrored:q} --brain {input.brain:q}"
        " --clip {params.clip} --margin {params.margin} --out-ncct {output.ncct:q} --out-mirrored {output.mirrored:q}"
        " --out-difference {output.difference:q} --out-brain {output.brain:q} --out-crop {output.crop:q}"
        " > {log:q} 2>&1"


rule lesion:
    input:
        unpack(_final_lesion_inputs),
    output:
        f"{_PREPROCESSED}/lesion.nii.gz",
    params:
        inputs=_as_options,
        code=code("preprocess.lesion"),
    log:
        f"{OUT}/logs/preprocess/lesion/{{cohort}}/{{case}}.log",
    benchmark:
        f"{OUT}/benchmarks/preprocess/lesion/{{cohort}}/{{case}}.tsv"
    threads: 1
    resources:
        mem_mb=grows(config["resources"]["preprocess"]["mem_mb"]),
        runtime=grows(config["resources"]["preprocess"]["runtime"]),
    conda:
        "../envs/imaging.yaml"
    shell:
        "python -m workflow_scripts.preprocess.lesion --cohort {wildcards.cohort} --case {wildcards.case}"
        " {params.inputs:q} --out {output:q}"
        " > {log:q} 2>&1"


rule describe_case:
    input:
        unpack(_describe_case_inputs),
    output:
        f"{_PREPROCESSED}/case.json",
    params:
        inputs=_as_options,
        limits=_QUALITY_LIMITS,
        code=code("preprocess.describe_case"),
    log:
        f"{OUT}/logs/preprocess/describe_case/{{cohort}}/{{case}}.log",
    benchmark:
        f"{OUT}/benchmarks/preprocess/describe_case/{{cohort}}/{{case}}.tsv"
    threads: 1
    resources:
        mem_mb=grows(config["resources"]["preprocess"]["mem_mb"]),
        runtime=grows(config["resources"]["preprocess"]["runtime"]),
    conda:
        "../envs/imaging.yaml"
    shell:
        "python -m workflow_scripts.preprocess.describe_case --cohort {wildcards.cohort} --case {wildcards.case}"
        " {params.inputs:q} {params.limits:q} --out {output:q}"
        " > {log:q} 2>&1"

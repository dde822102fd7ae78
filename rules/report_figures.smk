rule figure_cohort:
    """Draw the cohorts: lesion volumes and sides."""
    input:
        splits="<split>/splits.tsv",
    output:
        report("<report>/figures/cohort.svg", caption="captions/cohort.rst", category="Cases"),
        "<report>/figures/cohort.png",
    params:
        min_component_ml=config["evaluate"]["min_component_ml"],
        code=code("report.figure_cohort"),
    log:
        "<logs>/report/figure_cohort.log",
    benchmark:
        "<benchmarks>/report/figure_cohort.tsv"
    resources:
        **request("figure"),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_cohort --splits {input.splits:q} --min-component-ml {params.min_component_ml}"
        " --out {output:q} > {log:q} 2>&1"


rule figure_dice:
    """Draw the Dice of the arms."""
    input:
        scores="<evaluated>/scores.tsv",
        comparisons="<evaluated>/comparisons.tsv",
    output:
        report("<report>/figures/dice-{cohort}-{split}.svg", caption="captions/dice.rst", category="Dice"),
        "<report>/figures/dice-{cohort}-{split}.png",
    params:
        arms=lambda wildcards: TEST_ARMS if wildcards.split == TEST else BEST_ARMS,
        min_component_ml=config["evaluate"]["min_component_ml"],
        code=code("report.figure_dice"),
    log:
        "<logs>/report/figure_dice/{cohort}-{split}.log",
    benchmark:
        "<benchmarks>/report/figure_dice/{cohort}-{split}.tsv"
    resources:
        **request("figure"),
    wildcard_constraints:
        split="|".join(split for split in SPLITS if split != TEST or TEST_ARMS),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_dice --scores {input.scores:q} --comparisons {input.comparisons:q}"
        " --arms {params.arms} --cohort={wildcards.cohort} --split {wildcards.split}"
        " --min-component-ml {params.min_component_ml} --out {output:q} > {log:q} 2>&1"


rule figure_volumes:
    """Draw predicted against reference volumes."""
    input:
        scores="<evaluated>/scores.tsv",
    output:
        report("<report>/figures/volumes-{cohort}-{split}.svg", caption="captions/volumes.rst", category="Volumes"),
        "<report>/figures/volumes-{cohort}-{split}.png",
    params:
        arms=lambda wildcards: TEST_ARMS if wildcards.split == TEST else BEST_ARMS,
        code=code("report.figure_volumes"),
    log:
        "<logs>/report/figure_volumes/{cohort}-{split}.log",
    benchmark:
        "<benchmarks>/report/figure_volumes/{cohort}-{split}.tsv"
    resources:
        **request("figure"),
    wildcard_constraints:
        split="|".join(split for split in SPLITS if split != TEST or TEST_ARMS),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_volumes --scores {input.scores:q} --arms {params.arms}"
        " --cohort={wildcards.cohort} --split {wildcards.split} --out {output:q} > {log:q} 2>&1"


rule figure_size:
    """Draw the Dice of every case against the volume of its lesions."""
    input:
        scores="<evaluated>/scores.tsv",
    output:
        report("<report>/figures/size-{cohort}-{split}.svg", caption="captions/size.rst", category="Dice"),
        "<report>/figures/size-{cohort}-{split}.png",
    params:
        arms=lambda wildcards: TEST_ARMS if wildcards.split == TEST else BEST_ARMS,
        min_component_ml=config["evaluate"]["min_component_ml"],
        code=code("report.figure_size"),
    log:
        "<logs>/report/figure_size/{cohort}-{split}.log",
    benchmark:
        "<benchmarks>/report/figure_size/{cohort}-{split}.tsv"
    resources:
        **request("figure"),
    wildcard_constraints:
        split="|".join(split for split in SPLITS if split != TEST or TEST_ARMS),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_size --scores {input.scores:q} --arms {params.arms}"
        " --cohort={wildcards.cohort} --split {wildcards.split} --min-component-ml {params.min_component_ml}"
        " --out {output:q} > {log:q} 2>&1"


rule figure_labels:
    """Draw the Dice of the arms against the number of labelled patients."""
    input:
        curve="<evaluated>/label_curve.tsv",
        savings="<evaluated>/label_savings.tsv",
    output:
        report("<report>/figures/labels-{cohort}-{split}.svg", caption="captions/labels.rst", category="Labels"),
        "<report>/figures/labels-{cohort}-{split}.png",
    params:
        confidence=config["evaluate"]["confidence"],
        code=code("report.figure_labels"),
    log:
        "<logs>/report/figure_labels/{cohort}-{split}.log",
    benchmark:
        "<benchmarks>/report/figure_labels/{cohort}-{split}.tsv"
    resources:
        **request("figure"),
    wildcard_constraints:
        split="|".join(split for split in SPLITS if split != TEST or TEST_ARMS),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_labels --curve {input.curve:q} --savings {input.savings:q}"
        " --cohort={wildcards.cohort} --split {wildcards.split} --confidence {params.confidence} --out {output:q} > {log:q} 2>&1"


rule figure_qq:
    """Draw the differences of Dice of each compared pair against a normal distribution."""
    input:
        scores="<evaluated>/scores.tsv",
        comparisons="<evaluated>/comparisons.tsv",
    output:
        report("<report>/figures/qq-{cohort}-{split}.svg", caption="captions/qq.rst", category="Dice"),
        "<report>/figures/qq-{cohort}-{split}.png",
    params:
        code=code("report.figure_qq"),
    log:
        "<logs>/report/figure_qq/{cohort}-{split}.log",
    benchmark:
        "<benchmarks>/report/figure_qq/{cohort}-{split}.tsv"
    resources:
        **request("figure"),
    wildcard_constraints:
        split="|".join(split for split in SPLITS if split != TEST or TEST_ARMS),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_qq --scores {input.scores:q} --comparisons {input.comparisons:q}"
        " --cohort={wildcards.cohort} --split {wildcards.split} --out {output:q} > {log:q} 2>&1"


rule figure_failures:
    """Draw the held-out cases with the lowest Dice, and what went wrong."""
    input:
        unpack(of_study(inputs.report.failures)),
    output:
        report("<report>/figures/failures-{cohort}.png", caption="captions/failures.rst", category="Examples"),
        "<report>/figures/failures-{cohort}.svg",
    params:
        preprocess=stage_folder("preprocessed"),
        segment=stage_folder("segmented"),
        arms=TEST_ARMS or BEST_ARMS,
        code=code("report.figure_failures"),
    log:
        "<logs>/report/figure_failures/{cohort}.log",
    benchmark:
        "<benchmarks>/report/figure_failures/{cohort}.tsv"
    resources:
        **request("gather"),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_failures --scores {input.scores:q} --preprocess {params.preprocess:q}"
        " --segment {params.segment:q} --cohort={wildcards.cohort} --arms {params.arms} --out {output:q} > {log:q} 2>&1"


rule figure_examples:
    """Draw example cases with the masks of the best arms."""
    input:
        unpack(of_study(inputs.report.examples)),
    output:
        report("<report>/figures/examples-{cohort}.png", caption="captions/examples.rst", category="Examples"),
        "<report>/figures/examples-{cohort}.svg",
    params:
        preprocess=stage_folder("preprocessed"),
        segment=stage_folder("segmented"),
        arms=TEST_ARMS or BEST_ARMS,
        examples=config["report"]["example_cases"],
        code=code("report.figure_examples"),
    log:
        "<logs>/report/figure_examples/{cohort}.log",
    benchmark:
        "<benchmarks>/report/figure_examples/{cohort}.tsv"
    resources:
        **request("gather"),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_examples --scores {input.scores:q} --preprocess {params.preprocess:q}"
        " --segment {params.segment:q} --cohort={wildcards.cohort} --arms {params.arms} --examples {params.examples}"
        " --out {output:q} > {log:q} 2>&1"


rule figure_finetune:
    """Draw the curves of the trainings of the arms."""
    input:
        [f"<results>/finetune/{arm}/seed-{seed}/curves.tsv" for arm in STUDY.arms for seed in STUDY.seeds],
    output:
        report("<report>/figures/finetune.svg", caption="captions/finetune.rst", category="Training"),
        "<report>/figures/finetune.png",
    params:
        finetune=stage_folder("arm"),
        arms=STUDY.arms,
        seeds=STUDY.seeds,
        code=code("report.figure_finetune"),
    log:
        "<logs>/report/figure_finetune.log",
    benchmark:
        "<benchmarks>/report/figure_finetune.tsv"
    resources:
        **request("figure"),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_finetune --finetune {params.finetune:q} --arms {params.arms}"
        " --seeds {params.seeds} --out {output:q} > {log:q} 2>&1"


rule figure_pretraining:
    """Draw the curves of the pretrainings."""
    input:
        [f"<results>/pretrain/{name}/{table}.tsv" for name in STUDY.pretrainings for table in ("curves", "rankme")],
    output:
        report("<report>/figures/pretraining.svg", caption="captions/pretraining.rst", category="Training"),
        "<report>/figures/pretraining.png",
    params:
        pretrain=stage_folder("pretraining"),
        pretrainings=STUDY.pretrainings,
        code=code("report.figure_pretraining"),
    log:
        "<logs>/report/figure_pretraining.log",
    benchmark:
        "<benchmarks>/report/figure_pretraining.tsv"
    resources:
        **request("figure"),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_pretraining --pretrain {params.pretrain:q}"
        " --pretrainings {params.pretrainings} --out {output:q} > {log:q} 2>&1"


rule figure_interpretation:
    """Draw the features of an encoder, and what they look at."""
    input:
        embedding="<pretraining>/interpretation/embedding.tsv",
        neighbours="<pretraining>/interpretation/neighbours.tsv",
        slices="<pretraining>/interpretation/slices.npz",
        splits="<split>/splits.tsv",
    output:
        report(
            "<report>/figures/interpretation-{pretraining}.png",
            caption="captions/interpretation.rst",
            category="Interpretation",
        ),
        "<report>/figures/interpretation-{pretraining}.svg",
    params:
        code=code("report.figure_interpretation"),
    log:
        "<logs>/report/figure_interpretation/{pretraining}.log",
    benchmark:
        "<benchmarks>/report/figure_interpretation/{pretraining}.tsv"
    resources:
        **request("figure"),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_interpretation --embedding {input.embedding:q}"
        " --neighbours {input.neighbours:q} --slices {input.slices:q} --splits {input.splits:q}"
        " --pretraining={wildcards.pretraining} --out {output:q} > {log:q} 2>&1"


rule figure_probe:
    """Draw how well attributes of heads are predicted."""
    input:
        probes=PROBES,
    output:
        report("<report>/figures/probe.svg", caption="captions/probe.rst", category="Interpretation"),
        "<report>/figures/probe.png",
    params:
        confidence=config["evaluate"]["confidence"],
        code=code("report.figure_probe"),
    log:
        "<logs>/report/figure_probe.log",
    benchmark:
        "<benchmarks>/report/figure_probe.tsv"
    resources:
        **request("figure"),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_probe --probes {input.probes:q} --confidence {params.confidence}"
        " --out {output:q} > {log:q} 2>&1"


rule figure_neighbours:
    """Draw cases beside their nearest neighbours."""
    input:
        unpack(of_study(inputs.report.neighbours)),
    output:
        report(
            "<report>/figures/neighbours-{pretraining}.png",
            caption="captions/neighbours.rst",
            category="Interpretation",
        ),
        "<report>/figures/neighbours-{pretraining}.svg",
    params:
        preprocess=stage_folder("preprocessed"),
        attribute=lambda wildcards: config["probe"]["attributes"][0],
        code=code("report.figure_neighbours"),
    log:
        "<logs>/report/figure_neighbours/{pretraining}.log",
    benchmark:
        "<benchmarks>/report/figure_neighbours/{pretraining}.tsv"
    resources:
        **request("figure"),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_neighbours --neighbours {input.neighbours:q}"
        " --preprocess {params.preprocess:q} --attribute {params.attribute} --pretraining={wildcards.pretraining}"
        " --out {output:q} > {log:q} 2>&1"


rule figure_quality:
    """Draw the quality of the cases."""
    input:
        splits="<split>/splits.tsv",
        case_json=inputs.split.case_records(STUDY),
    output:
        report("<report>/figures/quality.svg", caption="captions/quality.rst", category="Cases"),
        "<report>/figures/quality.png",
    params:
        preprocess=stage_folder("preprocessed"),
        code=code("report.figure_quality"),
    log:
        "<logs>/report/figure_quality.log",
    benchmark:
        "<benchmarks>/report/figure_quality.tsv"
    resources:
        **request("figure"),
    conda:
        "../envs/report.yaml"
    shell:
        "python -m workflow_scripts.report.figure_quality --splits {input.splits:q} --preprocess {params.preprocess:q}"
        " --out {output:q} > {log:q} 2>&1"

from workflow_scripts.common.vocabulary import members_of, seed_member

SCORED = STUDY.labelled(config["run"]["evaluate"])
DRAWN_ON_NCCT = [f"{case.cohort}/{case.case}" for case in inputs.evaluate.drawn_on_ncct(STUDY)]


rule score:
    """Score the masks of an arm."""
    input:
        unpack(of_study(inputs.evaluate.score)),
    output:
        scores="<evaluated>/{arm}/scores.tsv",
        acquired="<evaluated>/{arm}/acquired_scores.tsv",
    params:
        # Folders and names, not paths: the paths of a large cohort are longer than a command line may be.
        references=stage_folder("preprocessed"),
        ingest=stage_folder("ingested"),
        drawn_on_ncct=DRAWN_ON_NCCT,
        segmentations=arm_masks,
        cases=[f"{case.cohort}/{case.case}" for case in SCORED],
        members=members_of(STUDY.seeds),
        min_component_ml=config["evaluate"]["min_component_ml"],
        code=code("evaluate.score"),
    log:
        "<logs>/evaluate/score/{arm}.log",
    benchmark:
        "<benchmarks>/evaluate/score/{arm}.tsv"
    resources:
        **request("evaluate"),
    conda:
        "../envs/statistics.yaml"
    shell:
        "python -m workflow_scripts.evaluate.score --arm {wildcards.arm} --members {params.members}"
        " --cases {params.cases} --segmentations {params.segmentations:q} --references {params.references:q}"
        " --splits {input.splits:q} --min-component-ml {params.min_component_ml} --out {output.scores:q}"
        " --out-acquired {output.acquired:q} --ingest {params.ingest:q} --drawn-on-ncct {params.drawn_on_ncct} > {log:q} 2>&1"


rule score_test:
    """Score the masks of an arm on the test set."""
    input:
        unpack(of_study(inputs.evaluate.score_test)),
    output:
        scores="<evaluated>/{arm}/test_scores.tsv",
        acquired="<evaluated>/{arm}/acquired_test_scores.tsv",
    params:
        # Folders and names, not paths: the paths of a large cohort are longer than a command line may be.
        references=stage_folder("preprocessed"),
        ingest=stage_folder("ingested"),
        drawn_on_ncct=DRAWN_ON_NCCT,
        segmentations=arm_masks,
        cases=[f"{case.cohort}/{case.case}" for case in SCORED],
        members=members_of(STUDY.seeds),
        min_component_ml=config["evaluate"]["min_component_ml"],
        # No rule declares the record of looks at the test set: it outlives every rerun.
        looks=lambda wildcards: paths.file(STUDY.results, "state", f"test_looks/{wildcards.arm}.tsv"),
        code=code("evaluate.score_test"),
    log:
        "<logs>/evaluate/score_test/{arm}.log",
    benchmark:
        "<benchmarks>/evaluate/score_test/{arm}.tsv"
    resources:
        **request("evaluate"),
    conda:
        "../envs/statistics.yaml"
    shell:
        "python -m workflow_scripts.evaluate.score_test --arm {wildcards.arm} --members {params.members}"
        " --cases {params.cases} --segmentations {params.segmentations:q} --references {params.references:q}"
        " --splits {input.splits:q} --min-component-ml {params.min_component_ml} --looks {params.looks:q}"
        " --config-sha256 $CONFIG_SHA256 --out {output.scores:q}"
        " --out-acquired {output.acquired:q} --ingest {params.ingest:q} --drawn-on-ncct {params.drawn_on_ncct} > {log:q} 2>&1"


rule score_labels:
    """Score the trainings of an arm on fewer labels, on the test set only of an arm that is tested."""
    input:
        unpack(of_study(inputs.evaluate.score_labels)),
    output:
        "<evaluated>/{arm}/label_scores.tsv",
    params:
        # Folders and names, not paths: the paths of a large cohort are longer than a command line may be.
        references=stage_folder("preprocessed"),
        segmentations=stage_folder("segmented"),
        cases=[f"{case.cohort}/{case.case}" for case in inputs.evaluate.held_out(STUDY)],
        members=[seed_member(draw) for draw in STUDY.label_draws],
        labels=lambda wildcards: [one.labels for one in STUDY.budgets.values() if one.arm == wildcards.arm],
        min_component_ml=config["evaluate"]["min_component_ml"],
        # No rule declares the record of looks at the test set: it outlives every rerun.
        looks=lambda wildcards: options(
            {"looks": paths.file(STUDY.results, "state", f"test_looks/{wildcards.arm}.labels.tsv")}
            if wildcards.arm in STUDY.test_arms
            else {}
        ),
        code=code("evaluate.score_labels"),
    log:
        "<logs>/evaluate/score_labels/{arm}.log",
    benchmark:
        "<benchmarks>/evaluate/score_labels/{arm}.tsv"
    resources:
        **request("evaluate"),
    conda:
        "../envs/statistics.yaml"
    shell:
        "python -m workflow_scripts.evaluate.score_labels --arm {wildcards.arm} --members {params.members}"
        " --labels {params.labels} --cases {params.cases} --segmentations {params.segmentations:q}"
        " --references {params.references:q} --splits {input.splits:q} --min-component-ml {params.min_component_ml}"
        " {params.looks:q} --config-sha256 $CONFIG_SHA256 --out {output:q} > {log:q} 2>&1"


rule label_efficiency:
    """Draw the curves of Dice against labels out of the scores, and say what labels an arm saves."""
    input:
        **inputs.evaluate.label_efficiency(STUDY),
    output:
        curve="<evaluated>/label_curve.tsv",
        savings="<evaluated>/label_savings.tsv",
    params:
        whole=options({"arms": inputs.evaluate.whole_arms(STUDY)}),
        pairs=[f"{first},{second}" for first, second in inputs.evaluate.label_pairs(STUDY)],
        bootstrap=config["evaluate"]["bootstrap"],
        confidence=config["evaluate"]["confidence"],
        seed=config["seed"],
        code=code("evaluate.label_efficiency"),
    log:
        "<logs>/evaluate/label_efficiency.log",
    benchmark:
        "<benchmarks>/evaluate/label_efficiency.tsv"
    resources:
        **request("evaluate"),
    conda:
        "../envs/statistics.yaml"
    shell:
        "python -m workflow_scripts.evaluate.label_efficiency --label-scores {input.label_scores:q}"
        " --scores {input.scores:q} {params.whole} --cases {input.cases:q} --splits {input.splits:q}"
        " --pairs {params.pairs} --bootstrap {params.bootstrap} --confidence {params.confidence} --seed {params.seed}"
        " --out-curve {output.curve:q} --out-savings {output.savings:q} > {log:q} 2>&1"


rule summarise:
    """Summarise and compare the scores of all arms."""
    input:
        scores=inputs.evaluate.all_scores(STUDY),
        acquired_scores=inputs.evaluate.all_scores(STUDY, grid="acquired_"),
        splits="<split>/splits.tsv",
        looked=inputs.evaluate.label_scores(STUDY),  # before the looks at the test set are gathered
    output:
        scores="<evaluated>/scores.tsv",
        summary="<evaluated>/summary.tsv",
        comparisons="<evaluated>/comparisons.tsv",
        agreement="<evaluated>/agreement.tsv",
        ranks="<evaluated>/ranks.tsv",
        variance="<evaluated>/variance.tsv",
        subgroups="<evaluated>/subgroups.tsv",
        test_looks="<evaluated>/test_looks.tsv",
        acquired_scores="<evaluated>/acquired_scores.tsv",
        acquired_summary="<evaluated>/acquired_summary.tsv",
        acquired_comparisons="<evaluated>/acquired_comparisons.tsv",
        acquired_agreement="<evaluated>/acquired_agreement.tsv",
    params:
        comparisons=[
            f"{family}:{first},{second}"
            for family, pairs in config["evaluate"]["comparisons"].items()
            for first, second in pairs
            if {first, second} <= set(STUDY.arms)
        ],
        bootstrap=config["evaluate"]["bootstrap"],
        confidence=config["evaluate"]["confidence"],
        seed=config["seed"],
        selected_on=config["evaluate"]["selected_on"],
        test_arms=STUDY.test_arms,
        looks=lambda wildcards: paths.file(STUDY.results, "state", "test_looks"),
        code=code("evaluate.summarise"),
    log:
        "<logs>/evaluate/summarise.log",
    benchmark:
        "<benchmarks>/evaluate/summarise.tsv"
    resources:
        **request("evaluate"),
    conda:
        "../envs/statistics.yaml"
    shell:
        "python -m workflow_scripts.evaluate.summarise --scores {input.scores:q}"
        " --acquired-scores {input.acquired_scores:q} --comparisons {params.comparisons}"
        " --bootstrap {params.bootstrap} --confidence {params.confidence} --seed {params.seed}"
        " --selected-on {params.selected_on} --test-arms {params.test_arms} --looks {params.looks:q}"
        " --out-scores {output.scores:q} --out-summary {output.summary:q} --out-comparisons {output.comparisons:q}"
        " --out-agreement {output.agreement:q} --out-ranks {output.ranks:q} --out-variance {output.variance:q}"
        " --out-subgroups {output.subgroups:q} --splits {input.splits:q}"
        " --out-test-looks {output.test_looks:q} --out-acquired-scores {output.acquired_scores:q}"
        " --out-acquired-summary {output.acquired_summary:q} --out-acquired-comparisons {output.acquired_comparisons:q}"
        " --out-acquired-agreement {output.acquired_agreement:q}"
        " > {log:q} 2>&1"

import json

# One process a GPU shares the batch of a pretraining. A scheduler's warning reaches all of them, and they get the time
# to save that the scheduler leaves.
PRETRAIN_LAUNCH = "workflow_scripts.pretrain.pretrain"
if config["resources"]["pretrain"]["gpu"] > 1:
    PRETRAIN_LAUNCH = (
        f"torch.distributed.run --standalone --nproc-per-node {config['resources']['pretrain']['gpu']}"
        f" --signals-to-handle SIGTERM,SIGUSR1,SIGINT --shutdown-timeout 600 --module {PRETRAIN_LAUNCH}"
    )


rule pretrain_settings:
    output:
        f"{OUT}/pretrain/{{pretraining}}/settings.yaml",
    params:
        image_set=lambda wildcards: _pretraining_entry(wildcards)["image_set"],
        channels=lambda wildcards: _pretraining_entry(wildcards)["channels"],
        symmetry=lambda wildcards: str(_pretraining_entry(wildcards)["symmetry"]).lower(),
        method=lambda wildcards: _pretraining_entry(wildcards).get("method", "desd"),
        seed=config["seed"],
        config=json.dumps(config["pretrain"], sort_keys=True),
    log:
        f"{OUT}/logs/pretrain/pretrain_settings/{{pretraining}}.log",
    benchmark:
        f"{OUT}/benchmarks/pretrain/pretrain_settings/{{pretraining}}.tsv"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    localrule: True
    conda:
        "../envs/deeplearning.yaml"
    shell:
        "python -m workflow_scripts.pretrain.pretrain_settings --pretraining {wildcards.pretraining}"
        " --image-set {params.image_set:q} --channels {params.channels:q} --symmetry {params.symmetry}"
        " --method {params.method} --seed {params.seed} --config {params.config:q} --output {output:q} > {log:q} 2>&1"


rule pretrain:
    input:
        settings=f"{OUT}/pretrain/{{pretraining}}/settings.yaml",
        plans=lambda wildcards: f"{_pretraining_images(wildcards)}/plans.json",
        fingerprint=lambda wildcards: f"{_pretraining_images(wildcards)}/fingerprint.json",
        cases=lambda wildcards: f"{_pretraining_images(wildcards)}/cases.tsv",
    output:
        encoder=f"{OUT}/pretrain/{{pretraining}}/encoder.pt",
        card=f"{OUT}/pretrain/{{pretraining}}/model_card.md",
        curves=f"{OUT}/pretrain/{{pretraining}}/curves.tsv",
        rankme=f"{OUT}/pretrain/{{pretraining}}/rankme.tsv",
    params:
        dataset=_pretraining_images,
        # No rule declares the state: Snakemake removes the outputs of a job that failed, and this must outlive it.
        state=f"{OUT}/state/pretrain/{{pretraining}}",
        launch=PRETRAIN_LAUNCH,
    log:
        f"{OUT}/logs/pretrain/pretrain/{{pretraining}}.log",
    benchmark:
        f"{OUT}/benchmarks/pretrain/pretrain/{{pretraining}}.tsv"
    threads: config["resources"]["pretrain"]["threads"]
    resources:
        mem_mb=grows(config["resources"]["pretrain"]["mem_mb"]),
        runtime=config["resources"]["pretrain"]["runtime"],
        gpu=config["resources"]["pretrain"]["gpu"],
    conda:
        "../envs/deeplearning.yaml"
    shell:
        "exec python -m {params.launch} --settings {input.settings:q} --dataset {params.dataset:q}"
        " --state {params.state:q} --retrain $RETRAIN --threads {threads} --encoder {output.encoder:q}"
        " --card {output.card:q} --curves {output.curves:q} --rankme {output.rankme:q} > {log:q} 2>&1"


rule pretrain_audit:
    input:
        encoder=f"{OUT}/pretrain/{{pretraining}}/encoder.pt",
        fingerprint=lambda wildcards: f"{_pretraining_images(wildcards)}/fingerprint.json",
        splits=f"{OUT}/split/splits.tsv",
    output:
        f"{OUT}/pretrain/{{pretraining}}/audit.json",
    params:
        code=code("pretrain.pretrain_audit"),
    log:
        f"{OUT}/logs/pretrain/pretrain_audit/{{pretraining}}.log",
    benchmark:
        f"{OUT}/benchmarks/pretrain/pretrain_audit/{{pretraining}}.tsv"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=5,
    conda:
        "../envs/deeplearning.yaml"
    shell:
        "python -m workflow_scripts.pretrain.pretrain_audit --encoder {input.encoder:q}"
        " --fingerprint {input.fingerprint:q} --splits-table {input.splits:q} --out {output:q} > {log:q} 2>&1"

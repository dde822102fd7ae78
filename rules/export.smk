from workflow_scripts.study import models


rule export_model:
    """Write the model of an arm into one folder that leaves the study."""
    input:
        unpack(of_study(models.to_export)),
    output:
        folder=directory("<model>"),
        archive="<model>.zip",
    params:
        settings=of_study(models.export_settings),
        options=of_study(models.export_options),
        preprocess=stage_folder("preprocessed"),
        ingest=stage_folder("ingested"),
        cases=of_study(arguments.labelled_cases),
        code=code("segment.export_model"),
    log:
        "<logs>/segment/export_model/{arm}.log",
    benchmark:
        "<benchmarks>/segment/export_model/{arm}.tsv"
    threads: threads("dataset")
    resources:
        **request("dataset"),
    conda:
        "../envs/deeplearning.yaml"
    shell:
        "python -m workflow_scripts.segment.export_model --settings {params.settings:q}"
        " --checkpoints {input.checkpoints:q} {params.options:q} --splits-table {input.splits:q}"
        " --preprocess {params.preprocess:q} --ingest {params.ingest:q} --cases {params.cases}"
        " --threads {threads} --out {output.folder:q} --archive {output.archive:q} > {log:q} 2>&1"

# New patients, segmented by an exported model. Only with `model` in the configuration, which
# workflow_scripts/segment/new_patient.py writes; the steps before are those of every study.
if "model" in config:

    localrules:
        template,  # a copy of the model's

    rule new_patients:
        """Segment the new patients with an exported model."""
        input:
            lambda wildcards: models.new_patients(STUDY),

    rule run_networks:
        """Run the networks of an exported model on a batch of new patients."""
        input:
            unpack(of_study(models.of_batch)),
        output:
            "<batch>/networks.json",
        params:
            model=lambda wildcards: config["model"],
            preprocess=stage_folder("preprocessed"),
            cases=of_study(models.names_of_batch),
            store=lambda wildcards: paths.file(STUDY.results, "state", "segment"),
            memory=options({"memory-gb": config.get("memory_gb")}),
            code=code("segment.run_networks"),
        log:
            "<logs>/segment/run_networks/{batch}.log",
        benchmark:
            "<benchmarks>/segment/run_networks/{batch}.tsv"
        threads: threads("segment")
        resources:
            **request("segment"),
        conda:
            "../envs/deeplearning.yaml"
        shell:
            "python -m workflow_scripts.segment.run_networks --model {params.model:q}"
            " --preprocess {params.preprocess:q} --cases {params.cases} --store {params.store:q} --code {params.code}"
            " --threads {threads} --gpus $GPUS_SEGMENT {params.memory:q} --out {output:q} > {log:q} 2>&1"

    rule apply_model:
        """Make the masks and the numbers of a new patient."""
        input:
            unpack(of_study(models.to_apply)),
            networks=ancient(of_study(models.networks)),  # other patients of the batch are no reason
        output:
            final=temp("<patient>/final.nii.gz"),
            lesion="<patient>/lesion.nii.gz",
            slices="<patient>/lesion.json",
            upright="<patient>/lesion_upright.nii.gz",
            agreement="<patient>/agreement.nii.gz",
            probability="<patient>/probability.nii.gz",
            report="<patient>/report.json",
        params:
            model=lambda wildcards: config["model"],
            images=lambda wildcards: paths.file(STUDY.results, "preprocessed", **wildcards),
            code=code("segment.apply_model"),
        log:
            "<logs>/segment/apply_model/{cohort}/{case}.log",
        benchmark:
            "<benchmarks>/segment/apply_model/{cohort}/{case}.tsv"
        resources:
            **request("preprocess"),
        conda:
            "../envs/deeplearning.yaml"
        shell:
            "python -m workflow_scripts.segment.apply_model --cohort={wildcards.cohort} --case={wildcards.case}"
            " --networks {input.networks:q} --model {params.model:q}"
            " --images {params.images:q} --scan {input.scan:q} --record {input.record:q}"
            " --out-final {output.final:q} --out-lesion {output.lesion:q}"
            " --out-slices {output.slices:q} --out-upright {output.upright:q} --out-agreement {output.agreement:q}"
            " --out-probability {output.probability:q} --out-report {output.report:q} > {log:q} 2>&1"

    rule dicom_seg:
        """Write the mask of a new patient as a DICOM object."""
        input:
            dicom=ancient(of_study(inputs.ingest.ncct)),
            lesion="<patient>/lesion.nii.gz",
            record="<ingested>/ncct.json",
        output:
            "<patient>/lesion.dcm",
        params:
            source=of_study(arguments.ncct_source),
            series=of_study(models.dicom_series),
            code=code("ingest.dicom_seg"),
        log:
            "<logs>/ingest/dicom_seg/{cohort}/{case}.log",
        benchmark:
            "<benchmarks>/ingest/dicom_seg/{cohort}/{case}.tsv"
        resources:
            **request("preprocess"),
        conda:
            "../envs/imaging.yaml"
        shell:
            "python -m workflow_scripts.ingest.dicom_seg --cohort={wildcards.cohort} --case={wildcards.case}"
            " {params.series:q} --record {input.record:q} --lesion {input.lesion:q} --out {output:q} > {log:q} 2>&1"

    rule dicom_report:
        """Write the page of a new patient as a picture in DICOM."""
        input:
            dicom=ancient(of_study(inputs.ingest.ncct)),
            picture="<patient>/report.npy",
            record="<ingested>/ncct.json",
        output:
            "<patient>/report.dcm",
        params:
            source=of_study(arguments.ncct_source),
            series=of_study(models.dicom_series),
            code=code("ingest.dicom_report"),
        log:
            "<logs>/ingest/dicom_report/{cohort}/{case}.log",
        benchmark:
            "<benchmarks>/ingest/dicom_report/{cohort}/{case}.tsv"
        resources:
            **request("preprocess"),
        conda:
            "../envs/imaging.yaml"
        shell:
            "python -m workflow_scripts.ingest.dicom_report --cohort={wildcards.cohort} --case={wildcards.case}"
            " {params.series:q} --record {input.record:q} --picture {input.picture:q} --out {output:q} > {log:q} 2>&1"

    rule new_patient_page:
        """Write the page of a new patient."""
        input:
            report="<patient>/report.json",
            scan="<ingested>/ncct.nii.gz",
            lesion="<patient>/lesion_upright.nii.gz",
            agreement="<patient>/agreement.nii.gz",
            ncct="<preprocessed>/ncct.nii.gz",
            mirrored="<preprocessed>/mirrored.nii.gz",
            brain="<preprocessed>/brain.nii.gz",
            mask="<patient>/final.nii.gz",
        output:
            **({"picture": temp("<patient>/report.npy")} if config.get("dicom_report") else {}),
            page="<patient>/report.html",
        params:
            files=as_options,
            picture=lambda wildcards, output: options({"out-picture": output.get("picture")}),
            notice=lambda wildcards: options({"notice": config["notice"]}),  # a text may hold braces
            code=code("report.new_patient_page"),
        log:
            "<logs>/report/new_patient_page/{cohort}/{case}.log",
        benchmark:
            "<benchmarks>/report/new_patient_page/{cohort}/{case}.tsv"
        resources:
            **request("page"),
        conda:
            "../envs/report.yaml"
        shell:
            "python -m workflow_scripts.report.new_patient_page --cohort={wildcards.cohort} --case={wildcards.case}"
            " {params.files:q} {params.notice:q} {params.picture:q} --out {output.page:q} > {log:q} 2>&1"

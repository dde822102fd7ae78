"""What rule report_settings writes for the small study."""

ARMS = {"FS-STKi": 0.62, "ALL-STKi-SA": 0.85, "FS-STKi-D": 0.72}
SEEDS = (0, 1, 2)
NOTICE = "Every head in this report is a phantom; the numbers say nothing about patients."


def settings() -> dict:
    """Settings, cut down to what the page uses."""
    arm = {"train": ["icoAIS"], "channels": ["ncct"], "pretraining": None, "statistics_from": None, "epochs": 8}
    arm["encoder"] = None
    trained_on = {"freeze_epochs": 0, "learning_rate_factor": 1.0, "warmup_epochs": 0}
    pretraining = {"image_set": "ALL", "channels": ["ncct"], "symmetry": True}
    return {
        "title": "Infarcts on phantoms",
        "notice": NOTICE,
        "run": {"arms": list(ARMS), "seeds": list(SEEDS), "segment": ["icoAIS"], "evaluate": ["icoAIS"]},
        "image_sets": {"ALL": ["icoAIS", "CENTER-TBI"]},
        "preprocess": {
            "spacing_mm": 6.0,
            "clip_hu": [-100, 400],
            "skull_stripping": {"ncct": "deepbet", "mri": "deepbet", "cross_check": "hu"},
            "contralateral": "template",
        },
        "split": {"ratios": {"train": 0.7, "validation": 0.2, "test": 0.1}},
        "pretrain": {
            "epochs": 6,
            "samples_per_epoch": 64,
            "batch_size": 8,
            "patch_size": [8, 20, 20],
            "symmetry_probability": 0.7,
            "preset": "robust",
            "optimisers": {"robust": {"learning_rate": 0.001}},
            "projection_head": {"prototypes": 1024},
        },
        "probe": {"random_encoders": 5},
        "finetune": {
            **{"iterations_per_epoch": 25, "learning_rate": 0.01, "momentum": 0.99},
            **{"oversample_foreground": 0.5},
        },
        "segment": {"vote": "majority", "step": 0.5, "mirroring": True},
        "evaluate": {"min_component_ml": 3.0, "bootstrap": 2000, "confidence": 0.95, "selected_on": "validation"},
        "arms": {
            "FS-STKi": arm | {"labels": [5, 10, 20]},
            "ALL-STKi-SA": arm | {"labels": [5, 10, 20]} | {"pretraining": "ALL-SA", "encoder": trained_on},
            "FS-STKi-D": arm | {"channels": ["ncct", "difference"]},
        },
        "label_efficiency": {"draws": 3, "epochs": None},
        "pretrainings": {"ALL-SA": pretraining},
        "excluded": [{"cohort": "icoAIS", "case": "S99", "reason": "motion <artefacts> & a second series"}],
    }

"""What the rules of pretrain read: an image set, a pretraining and its encoder."""

from workflow_scripts.study.inputs.naming import Named, file_of, results_of_cases, tracked
from workflow_scripts.study.study import Study


def images_of_set(study: Study, images: str) -> list[str]:
    """The final images of an image set, with the mirrored images and brain masks that views and augmentation need."""
    names = (*study.image_set_channels(images), "mirrored", "brain")
    cases = study.image_set_cases(study.image_set(images))
    return results_of_cases(study, "preprocessed", [f"{name}.nii.gz" for name in names], cases)


def pretraining_images(study: Study, pretraining: str) -> str:
    """Folder of the arrays that a pretraining reads."""
    study.pretraining(pretraining)
    return file_of(study, "image_set", images=study.images(pretraining))


def pretrain(study: Study, pretraining: str) -> Named:
    """Settings, the arrays and their description, and the weights to begin from, if any are given."""
    folder = pretraining_images(study, pretraining)
    files = {"plans": "plans.json", "fingerprint": "fingerprint.json", "cases": "cases.tsv"}
    files |= {name: name for name in ("arrays", "companions")}
    settings = file_of(study, "pretraining", "settings.yaml", pretraining=pretraining)
    given = study.pretraining(pretraining).get("initial_weights")
    return {
        "settings": settings,
        **{key: f"{folder}/{name}" for key, name in files.items()},
        "initial": tracked(given) if given else [],
    }


def audit(study: Study, pretraining: str) -> Named:
    """The encoder, what it was trained on, and the splits."""
    return {
        "encoder": file_of(study, "pretraining", "encoder.pt", pretraining=pretraining),
        "fingerprint": f"{pretraining_images(study, pretraining)}/fingerprint.json",
        "splits": file_of(study, "split", "splits.tsv"),
    }


def probe(study: Study, pretraining: str) -> Named:
    """The encoder and its arrays, the patients, and the files that hold the attributes."""
    table = study.config["probe"]["table"]
    cases = study.image_set_cases(study.pretraining(pretraining)["image_set"])
    return {
        **interpretation(study, pretraining),
        "splits": file_of(study, "split", "splits.tsv"),
        "case_json": results_of_cases(study, "preprocessed", ["case.json"], cases),
        "table": [table] if table else [],
        "supervised": tracked(given) if (given := (study.config["probe"]["supervised"] or {}).get(pretraining)) else [],
    }


def interpretation(study: Study, pretraining: str) -> Named:
    """The encoder and the arrays that it is applied to."""
    folder = pretraining_images(study, pretraining)
    return {
        "encoder": file_of(study, "pretraining", "encoder.pt", pretraining=pretraining),
        "cases": f"{folder}/cases.tsv",
        "arrays": f"{folder}/arrays",
    }

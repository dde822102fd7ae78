"""The rules whose jobs a whole job runs, and the digest of their code."""

from workflow_scripts.study.code_digest import code_digest

CASE_STEPS = {
    "ingest": ("ingest_ncct", "ingest_mri", "ingest_lesion", "ingest_brain"),
    "preprocess": (
        *("resample_ncct", "brain_mask", "prepare_mri", "register_mri", "apply_registration"),
        *("contralateral", "finalise", "lesion", "describe_case"),
    ),
}
BATCH_STEPS = {"segment": ("segment", "ensemble")}


def names(steps: dict[str, tuple[str, ...]]) -> list[str]:
    """Return the names of the rules."""
    return [step for rules in steps.values() for step in rules]


def codes(steps: dict[str, tuple[str, ...]]) -> list[str]:
    """Return the digest of the code of each rule."""
    return [code_digest(f"{stage}.{step}") for stage, rules in steps.items() for step in rules]

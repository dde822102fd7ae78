"""What a schema cannot express of a configuration: names of other entries, sums, files and masks that must be there."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from workflow_scripts.common.vocabulary import TEST
from workflow_scripts.study.config_files import ConfigFiles
from workflow_scripts.study.enough_patients import shortage
from workflow_scripts.study.label_budgets import check_labels, most_labels
from workflow_scripts.study.lesion_voxels import empty_masks
from workflow_scripts.study.training_values import contradiction

if TYPE_CHECKING:
    from workflow_scripts.study.study import Study

ARM, PRETRAINING, IMAGE_SET = "an entry of `arms`", "an entry of `pretrainings`", "an entry of `image_sets`"
RUN_ARM = "an arm of run.arms"


def check_references(study: "Study", files: ConfigFiles) -> None:
    """Raise `StudyError`, naming file and key, for a value that does not go with others or with the sheet."""
    for check in (_arms, _pretrainings, _weights, _cohorts, _evaluation, _comparisons, _sums, _patients, _given_files):
        check(study, files)


def require_lesions(study: "Study", files: ConfigFiles) -> None:
    """Raise `StudyError` where the masks of an arm hold too few lesions; reads them."""
    ratios, labels = study.config["split"]["ratios"], study.config["ingest"]["lesion_labels"]
    for name in study.arms:
        train = study.arm(name)["train"]
        if complaint := empty_masks(study.in_cohorts(train), ratios, labels):
            raise files.refuse(["arms", name, "train"], f"of {train!r}, {complaint}.")


def require_compiler(study: "Study", files: ConfigFiles) -> None:
    """Raise `StudyError` where a training must compile and this machine has no compiler."""
    for section, choice in study.without_compiler.items():
        if choice == "always":
            raise files.refuse(
                [section, "compile"],
                "'always' needs a C compiler, and this machine has none; install gcc, name one in CC, or say 'auto', "
                "which tries it where the job runs and goes on without.",
            )


def _require(
    study: "Study",
    files: ConfigFiles,
    path: Sequence[str | int],
    names: Iterable[str],
    known: Iterable[str],
    what: str,
) -> None:
    known = list(known)
    for name in names:
        if reason := study.why_left_out(name):
            raise files.refuse(path, f"{name!r} is left out of this study: {reason}.")
        if name not in known:
            raise files.refuse(path, f"{name!r} is not {what}; known: {', '.join(known)}.")


def _require_cohorts(study: "Study", files: ConfigFiles, path: Sequence[str | int], names: Iterable[str]) -> None:
    _require(study, files, path, names, study.cohorts, f"a cohort of {study.config['cases']}")


def _arms(study: "Study", files: ConfigFiles) -> None:
    config = study.config
    _require(study, files, ["run", "arms"], study.arms, config["arms"], ARM)
    for name in study.arms:
        arm, path = study.arm(name), ["arms", name]
        _require_cohorts(study, files, [*path, "train"], arm["train"])
        if not study.labelled(arm["train"]):
            raise files.refuse([*path, "train"], f"{arm['train']!r} have no case with a lesion mask.")
        for key in ("pretraining", "statistics_from"):
            if arm[key]:
                _require(study, files, [*path, key], [arm[key]], config["pretrainings"], PRETRAINING)
                channels = config["pretrainings"][arm[key]]["channels"]
                if channels != arm["channels"]:
                    complaint = f"{arm[key]!r} has channels {channels!r}, the arm has {arm['channels']!r}."
                    raise files.refuse([*path, key], complaint)
        if arm["pretraining"] and arm["statistics_from"]:
            raise files.refuse(
                [*path, "statistics_from"], "must be null where a pretraining is given, which decides them."
            )
        if "encoder" in arm and not arm["pretraining"]:
            raise files.refuse([*path, "encoder"], "an encoder from scratch is trained as the rest of the network.")


def _pretrainings(study: "Study", files: ConfigFiles) -> None:
    config = study.config
    _require(
        study, files, ["report", "interpreted"], config["report"]["interpreted"], config["pretrainings"], PRETRAINING
    )
    for name in study.pretrainings:
        image_set = config["pretrainings"][name]["image_set"]
        _require(study, files, ["pretrainings", name, "image_set"], [image_set], config["image_sets"], IMAGE_SET)
        _require_cohorts(study, files, ["image_sets", image_set], config["image_sets"][image_set])


def _weights(study: "Study", files: ConfigFiles) -> None:
    controls = study.config["probe"]["supervised"] or {}
    weights = {
        ("pretrainings", name, "initial_weights"): study.pretraining(name).get("initial_weights")
        for name in study.pretrainings
    }
    weights |= {("probe", "supervised", name): file for name, file in controls.items()}
    for path, file in weights.items():
        # A file of the results may be one that a rule makes.
        if file and not Path(file).is_file() and not Path(file).is_relative_to(study.results):
            raise files.refuse(path, f"{file!r} is not a file.")
    _require(study, files, ["probe", "supervised"], controls, study.config["pretrainings"], PRETRAINING)


def _cohorts(study: "Study", files: ConfigFiles) -> None:
    config, run = study.config, study.config["run"]
    if "model" not in config:  # new patients have no lesion to read, and are of no cohort of the configuration
        _require_cohorts(study, files, ["ingest", "lesion_labels"], config["ingest"]["lesion_labels"])
    _require_cohorts(study, files, ["run", "segment"], run["segment"])
    _require(study, files, ["run", "evaluate"], run["evaluate"], run["segment"], "a cohort of run.segment")
    if run["evaluate"] and not study.labelled(run["evaluate"]):
        raise files.refuse(["run", "evaluate"], f"{run['evaluate']!r} have no case with a lesion mask.")


def _evaluation(study: "Study", files: ConfigFiles) -> None:
    config = study.config
    _require(study, files, ["report", "best_arms"], config["report"]["best_arms"], study.arms, RUN_ARM)
    _require(study, files, ["evaluate", "test_arms"], config["evaluate"]["test_arms"], study.arms, RUN_ARM)
    if config["evaluate"]["selected_on"] == TEST:
        raise files.refuse(
            ["evaluate", "selected_on"],
            "arms that are chosen on the test set have no test set left to be judged on; choose on validation.",
        )


def _comparisons(study: "Study", files: ConfigFiles) -> None:
    families = study.config["evaluate"]["comparisons"]
    for family, pairs in families.items():
        for index, pair in enumerate(pairs):
            _require(study, files, ["evaluate", "comparisons", family, index], pair, study.config["arms"], ARM)
    _check_pairs(families, files)


def _check_pairs(families: Mapping[str, Sequence[Sequence[str]]], files: ConfigFiles) -> None:
    """Check that each comparison is of two arms and stands in one family alone."""
    seen: dict[frozenset[str], str] = {}
    for family, pairs in families.items():
        for index, pair in enumerate(pairs):
            path, arms = ["evaluate", "comparisons", family, index], frozenset(pair)
            if len(arms) == 1:
                raise files.refuse(path, f"{pair[0]!r} is compared with itself; name two arms.")
            if arms in seen:
                told = f"{list(pair)!r} stands in family {seen[arms]} already"
                raise files.refuse(path, f"{told}; name it once, so that it has one corrected p.")
            seen[arms] = family


def _sums(study: "Study", files: ConfigFiles) -> None:
    if len(study.seeds) % 2 == 0:
        raise files.refuse(["run", "seeds"], f"{study.seeds!r}: a majority vote needs an odd number of seeds.")
    ratios = study.config["split"]["ratios"]
    if abs(sum(ratios.values()) - 1) > 1e-6:
        raise files.refuse(["split", "ratios"], f"{dict(ratios)!r} must add up to 1.")
    if found := contradiction(study.config["pretrain"], study.config["resources"]["pretrain"]):
        key, complaint = found
        raise files.refuse(["pretrain", key], complaint)


def _patients(study: "Study", files: ConfigFiles) -> None:
    ratios = study.config["split"]["ratios"]
    for name in study.arms:
        train = study.arm(name)["train"]
        if complaint := shortage(study.in_cohorts(train), ratios):
            raise files.refuse(["arms", name, "train"], f"of {train!r}, {complaint}.")
        most = most_labels(study.in_cohorts(train), ratios)
        check_labels(name, study.arm(name), most, study.config["arms"], files.refuse)


def _given_files(study: "Study", files: ConfigFiles) -> None:
    for path in (
        ["skull_stripping", "synthstrip_weights", "path"],
        ["skull_stripping", "synthsr_weights", "path"],
        ["template", "image"],
        ["template", "mask"],
    ):
        file = study.config["preprocess"]
        for key in path:
            file = file[key]
        if file and not Path(file).is_file():
            raise files.refuse(["preprocess", *path], f"{file!r} is not a file.")

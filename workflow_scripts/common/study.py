"""The study: the validated configuration and case sheet, as the rules see them.

Every Slurm job parses the workflow again, so this module imports nothing heavy.
"""

import csv
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jsonschema
import yaml

SCHEMAS = Path(__file__).parents[2] / "rules" / "schemas"
CellCheck = Callable[[str, str], jsonschema.ValidationError | None]


class StudyError(Exception):
    """The configuration or the case sheet is wrong; the text names file, row or key, the value and what is allowed."""


@dataclass(frozen=True)
class Case:
    """One row of the case sheet; paths are joined to the sheet's root folder."""

    cohort: str
    patient: str
    case: str
    ncct: str
    ncct_series: int | None
    mri: tuple[str, ...]
    mri_modality: tuple[str, ...]
    lesion: str | None
    lesion_space: str
    mri_aligned: bool
    stripped: tuple[str, ...]
    label_standard: str
    side: str
    split: str
    exclude: str


@dataclass(frozen=True)
class Study:
    """A configuration and its cases; excluded cases stand apart and are used nowhere but in the report."""

    config: Mapping[str, Any]
    cases: tuple[Case, ...]
    excluded: tuple[Case, ...]

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], Case]:
        return {(case.cohort, case.case): case for case in self.cases}

    @property
    def arms(self) -> list[str]:
        """Names of the arms to run, in the order of the tables."""
        return list(self.config["run"]["arms"])

    @property
    def seeds(self) -> list[int]:
        """Seeds of each arm's trainings."""
        return list(self.config["run"]["seeds"])

    @property
    def pretrainings(self) -> list[str]:
        """Names of the pretrainings whose encoder an arm or a figure needs."""
        wanted = [self.arm(arm)["pretraining"] for arm in self.arms] + [self.config["report"]["interpreted"]]
        return list(dict.fromkeys(name for name in wanted if name))

    def case(self, cohort: str, case: str) -> Case:
        """Return one case; raises `StudyError` naming the sheet when there is none of that name."""
        try:
            return self._by_name[cohort, case]
        except KeyError:
            raise StudyError(f"{self.config['cases']}: no included case {cohort}/{case}.") from None

    def in_cohorts(self, cohorts: Iterable[str]) -> list[Case]:
        """Return the cases of some cohorts, in the order of the sheet."""
        wanted = set(cohorts)
        return [case for case in self.cases if case.cohort in wanted]

    def labelled(self, cohorts: Iterable[str]) -> list[Case]:
        """Return the cases of some cohorts that have a lesion mask."""
        return [case for case in self.in_cohorts(cohorts) if case.lesion]

    def arm(self, name: str) -> dict[str, Any]:
        """Return the entry of an arm."""
        return self.config["arms"][name]

    def image_set_cases(self, image_set: str) -> list[Case]:
        """Return the cases that a pretraining on this image set may see, before the split."""
        return self.in_cohorts(self.config["image_sets"][image_set])

    def images(self, pretraining: str) -> str:
        """Return the folder name of the arrays that a pretraining reads: its image set, ``-D`` for two channels."""
        entry = self.config["pretrainings"][pretraining]
        return entry["image_set"] + ("-D" if "difference" in entry["channels"] else "")


def load_study(config: Mapping[str, Any], config_files: Sequence[Path | str], check_paths: bool) -> Study:
    """Validate a merged configuration and read its case sheet.

    Parameters
    ----------
    config
        the merged configuration
    config_files
        the files it was merged from, later ones overriding earlier ones; named in messages
    check_paths
        whether every path of the sheet must exist now

    Raises
    ------
    StudyError
        naming file, row or key, the value given and what is allowed
    """
    _validate_config(config, config_files)
    cases = load_cases(config["cases"], config["cases_root"], check_paths)
    study = Study(config, tuple(c for c in cases if not c.exclude), tuple(c for c in cases if c.exclude))
    if study.cases:
        _check_references(study, config_files)
    return study


def load_cases(sheet: Path | str, root: Path | str | None, check_paths: bool = False) -> list[Case]:
    """Read and validate a case sheet; relative paths start from ``root``, or from the sheet's folder."""
    sheet = Path(sheet)
    if not sheet.is_file():
        raise StudyError(f"{sheet}: the case sheet does not exist; key `cases` of the configuration names it.")
    schema = _load_schema("cases")
    rows = _rows_of(sheet, schema)
    folder = Path(root) if root is not None else sheet.parent
    error_in = _cell_check(schema)
    cases = [_case_of_row(sheet, number, row, error_in, folder, check_paths) for number, row in rows]
    seen: dict[tuple[str, str], int] = {}
    for (number, _), case in zip(rows, cases, strict=True):
        first = seen.setdefault((case.cohort, case.case), number)
        if first != number:
            raise StudyError(
                f"{sheet}, row {number}, column case: {case.case!r} is already in row {first}; "
                f"a case must be unique inside its cohort ({case.cohort})."
            )
    return cases


def _rows_of(sheet: Path, schema: Mapping[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """Read the cells of a sheet, with the number of the line that each row ends in."""
    try:
        with sheet.open(newline="", encoding="utf-8-sig") as handle:
            reader = csv.DictReader(handle, delimiter="\t", restkey="surplus", restval="", strict=True)
            _check_columns(sheet, list(reader.fieldnames or []), schema)
            return [(reader.line_num, row) for row in reader]
    except UnicodeDecodeError:
        raise StudyError(f"{sheet}: the case sheet is not UTF-8; save it as text with that encoding.") from None
    except csv.Error as error:
        raise StudyError(
            f"{sheet}: the case sheet is not tab-separated text ({error}); a quotation mark must have its partner."
        ) from None


def _load_schema(name: str) -> dict[str, Any]:
    return yaml.load(
        (SCHEMAS / f"{name}.schema.yaml").read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )


def _validate_config(config: Mapping[str, Any], files: Sequence[Path | str]) -> None:
    errors = list(jsonschema.Draft202012Validator(_load_schema("config")).iter_errors(config))
    if errors:
        error = jsonschema.exceptions.best_match(errors)
        raise StudyError(_config_message(files, list(error.absolute_path), _allowed(error)))


def _config_message(files: Sequence[Path | str], path: Sequence[str | int], complaint: str) -> str:
    key = ".".join(str(part) for part in path) or "(top level)"
    return f"{_file_with_key(files, path)}, key {key}: {complaint}"


def _file_with_key(files: Sequence[Path | str], path: Sequence[str | int]) -> str:
    """Name the last file that sets the key: the one whose value won."""
    for file in reversed(files):
        content = yaml.safe_load(Path(file).read_text(encoding="utf-8")) or {}
        for part in path:
            try:
                content = content[part]
            except (KeyError, IndexError, TypeError):
                break
        else:
            return str(file)
    return "configuration (" + ", ".join(map(str, files)) + ", or --config)"


def _allowed(error: jsonschema.ValidationError) -> str:
    """Say what was given and what is allowed; the schema's own description is the best wording where it has one."""
    given = f"{error.instance!r} is not allowed"
    wanted = error.schema.get("description") if isinstance(error.schema, Mapping) else None
    match error.validator:
        case "required":
            missing = re.sub(r" is a required property$", "", error.message)
            return f"{missing} is missing; needed are {', '.join(error.validator_value)}."
        case "additionalProperties":
            unknown = sorted(set(error.instance) - set(error.schema.get("properties", {})))
            return f"unknown {unknown}; allowed are {', '.join(sorted(error.schema.get('properties', {})))}."
        case "enum":
            return f"{given}; allowed: {', '.join(map(repr, error.validator_value))}."
        case "pattern":
            return f"{given}; allowed: {wanted or 'text that matches ' + error.validator_value}."
        case _:
            return f"{given}; allowed: {wanted}." if wanted else f"{error.message}."


def _check_columns(sheet: Path, columns: list[str], schema: Mapping[str, Any]) -> None:
    known = list(schema["properties"])
    unknown = [column for column in columns if column not in known]
    missing = [column for column in schema["required"] if column not in columns]
    if unknown or missing:
        raise StudyError(
            f"{sheet}, row 1: unknown columns {unknown}, missing columns {missing}; "
            f"a case sheet has the tab-separated columns {', '.join(known)}."
        )


def _cell_check(schema: Mapping[str, Any]) -> CellCheck:
    """Return what finds the error in a cell of a column; a value that many rows share is looked at once."""
    whole = jsonschema.Draft202012Validator(schema)
    validators = {column: whole.evolve(schema=part) for column, part in schema["properties"].items()}

    @cache
    def error_in(column: str, cell: str) -> jsonschema.ValidationError | None:
        return jsonschema.exceptions.best_match(validators[column].iter_errors(cell))

    return error_in


def _case_of_row(
    sheet: Path, number: int, row: dict[str, Any], error_in: CellCheck, folder: Path, check_paths: bool
) -> Case:
    def refuse(column: str, complaint: str) -> StudyError:
        return StudyError(f"{sheet}, row {number}, column {column}: {complaint}")

    if "surplus" in row:
        raise StudyError(f"{sheet}, row {number}: more cells than columns ({row['surplus']!r} are left over).")
    row = {column: cell.strip() for column, cell in row.items()}
    for column, cell in row.items():
        if "\n" in cell or "\t" in cell:
            raise refuse(column, f"{cell[:30]!r}… goes over several cells; remove the quotation marks.")
        if error := error_in(column, cell):
            raise refuse(column, _allowed(error))
    mri, modalities = _split(row["mri"]), tuple(m.lower() for m in _split(row["mri_modality"]))
    if len(mri) != len(modalities) or len(set(modalities)) != len(modalities):
        raise refuse(
            "mri_modality", f"{row['mri_modality']!r} must name a different modality for each of {len(mri)} mri."
        )
    if row["lesion"] and row["lesion_space"] == "":
        raise refuse("lesion_space", "'' is not allowed with a lesion; allowed: 'ncct', 'mri'.")
    if row["lesion_space"] == "mri" and not mri:
        raise refuse("lesion_space", "'mri' is not allowed without an mri; allowed: 'ncct'.")
    stripped = _split(row["stripped"])
    surplus = set(stripped) - {"ncct", *modalities}
    if surplus:
        raise refuse(
            "stripped", f"{sorted(surplus)} are not images of this row; allowed: ncct, {', '.join(modalities)}."
        )
    paths = {"ncct": (row["ncct"],), "mri": mri, "lesion": _split(row["lesion"])}
    joined = {column: tuple(str(folder / path) for path in given) for column, given in paths.items()}
    if check_paths and not row["exclude"]:
        for column, given in joined.items():
            for path in given:
                if not Path(path).exists():
                    raise refuse(column, f"{path!r} does not exist; relative paths start from {str(folder)!r}.")
    return Case(
        cohort=row["cohort"],
        patient=row["patient"],
        case=row["case"],
        ncct=joined["ncct"][0],
        ncct_series=int(row["ncct_series"]) if row.get("ncct_series") else None,
        mri=joined["mri"],
        mri_modality=modalities,
        lesion=joined["lesion"][0] if joined["lesion"] else None,
        lesion_space=row["lesion_space"],
        mri_aligned=row["mri_aligned"] == "true",
        stripped=stripped,
        label_standard=row["label_standard"],
        side=row["side"],
        split=row["split"],
        exclude=row["exclude"],
    )


def _split(cell: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in cell.split(";") if part.strip())


def _check_references(study: Study, files: Sequence[Path | str]) -> None:
    """Check what a schema cannot say: names that point at other entries, and sums."""
    config = study.config

    def require(path: Sequence[str | int], names: Iterable[str], known: Iterable[str], what: str) -> None:
        known = list(known)
        for name in names:
            if name not in known:
                raise StudyError(_config_message(files, path, f"{name!r} is not {what}; known: {', '.join(known)}."))

    def refuse(path: Sequence[str | int], complaint: str) -> StudyError:
        return StudyError(_config_message(files, path, complaint))

    cohorts = list(dict.fromkeys(case.cohort for case in study.cases))
    sheet = f"a cohort of {config['cases']}"
    require(["run", "arms"], study.arms, config["arms"], "an entry of `arms`")
    for name in study.arms:
        arm, path = study.arm(name), ["arms", name]
        require([*path, "train"], arm["train"], cohorts, sheet)
        if not study.labelled(arm["train"]):
            raise refuse([*path, "train"], f"{arm['train']!r} hold no case with a lesion mask.")
        for key in ("pretraining", "statistics_from"):
            if arm[key]:
                require([*path, key], [arm[key]], config["pretrainings"], "an entry of `pretrainings`")
                if config["pretrainings"][arm[key]]["channels"] != arm["channels"]:
                    raise refuse([*path, key], f"{arm[key]!r} has other channels than the arm's {arm['channels']!r}.")
        if arm["pretraining"] and arm["statistics_from"]:
            raise refuse([*path, "statistics_from"], "must be null where a pretraining is given, which decides them.")
    if config["report"]["interpreted"]:
        interpreted = [config["report"]["interpreted"]]
        require(["report", "interpreted"], interpreted, config["pretrainings"], "an entry of `pretrainings`")
    for name in study.pretrainings:
        image_set = config["pretrainings"][name]["image_set"]
        require(["pretrainings", name, "image_set"], [image_set], config["image_sets"], "an entry of `image_sets`")
        require(["image_sets", image_set], config["image_sets"][image_set], cohorts, sheet)
    require(["run", "segment"], config["run"]["segment"], cohorts, sheet)
    require(["run", "evaluate"], config["run"]["evaluate"], config["run"]["segment"], "a cohort of run.segment")
    if config["run"]["evaluate"] and not study.labelled(config["run"]["evaluate"]):
        raise refuse(["run", "evaluate"], f"{config['run']['evaluate']!r} hold no case with a lesion mask.")
    require(["report", "best_arms"], config["report"]["best_arms"], study.arms, "an arm of run.arms")
    for index, pair in enumerate(config["evaluate"]["comparisons"]):
        require(["evaluate", "comparisons", index], pair, config["arms"], "an entry of `arms`")
    if len(study.seeds) % 2 == 0:
        raise refuse(["run", "seeds"], f"{study.seeds!r}: a majority vote needs an odd number of seeds.")
    ratios = config["split"]["ratios"]
    if abs(sum(ratios.values()) - 1) > 1e-6:
        raise refuse(["split", "ratios"], f"{dict(ratios)!r} must add up to 1.")
    low, high = config["preprocess"]["clip_hu"]
    if low >= high:
        raise refuse(["preprocess", "clip_hu"], f"{[low, high]!r}: the first must be below the second.")
    stripping, template = config["preprocess"]["skull_stripping"], config["preprocess"]["template"]
    for path, file in (
        (["preprocess", "skull_stripping", "synthstrip_weights", "path"], stripping["synthstrip_weights"]["path"]),
        (["preprocess", "skull_stripping", "synthsr_weights", "path"], stripping["synthsr_weights"]["path"]),
        (["preprocess", "template", "image"], template["image"]),
        (["preprocess", "template", "mask"], template["mask"]),
    ):
        if file and not Path(file).is_file():
            raise refuse(path, f"{file!r} is not a file.")

"""Whether the patients of an arm can be in training and in validation, as far as the case sheet can tell."""

from collections import Counter
from collections.abc import Mapping, Sequence

from workflow_scripts.common.apportionment import LEAST_PATIENTS
from workflow_scripts.common.vocabulary import TRAIN, VALIDATION
from workflow_scripts.study.case_sheet import Case


def shortage(cases: Sequence[Case], ratios: Mapping[str, float]) -> str | None:
    """Say why the cases of an arm's cohorts cannot give both training and validation a patient with a lesion mask.

    None where they may; the split, which knows the volumes of the lesions, has the last word.
    """
    fixed = {(case.cohort, case.patient): case.split for case in cases}
    fixed |= {(case.cohort, case.patient): case.split for case in cases if case.split}
    size = Counter(cohort for cohort, _ in fixed)
    labelled = {(case.cohort, case.patient) for case in cases if case.lesion}
    train = {one for one in labelled if fixed[one] == TRAIN or (not fixed[one] and ratios[TRAIN] > 0)}
    validation = {one for one in labelled if fixed[one] == VALIDATION}
    if ratios[VALIDATION] > 0:
        validation |= {one for one in labelled if not fixed[one] and size[one[0]] >= LEAST_PATIENTS}
    if not labelled:
        return "no patient has a lesion mask"
    if len(labelled) == 1:
        complaint = "only one patient has a lesion mask"
    elif not train:
        complaint = "none of the patients with a lesion mask can be in training"
    elif not validation:
        complaint = "none of the patients with a lesion mask can be in validation"
    elif len(train | validation) == 1:
        complaint = "only one patient with a lesion mask can be in either"
    else:
        return None
    return f"{complaint}; training and validation need a patient each (split.ratios, column split)"

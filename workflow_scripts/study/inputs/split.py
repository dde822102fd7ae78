"""What the rule of split reads."""

from workflow_scripts.study.inputs.naming import results_of_cases
from workflow_scripts.study.study import Study


def case_records(study: Study) -> list[str]:
    """Facts and quality of all cases."""
    return results_of_cases(study, "preprocessed", ["case.json"], study.cases)

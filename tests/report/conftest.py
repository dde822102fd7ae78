"""The small study that most tests of the report share."""

import pytest

from tests.report.fake_study import FakeStudy


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> FakeStudy:
    made = FakeStudy(tmp_path_factory.mktemp("results with spaces"))
    made.add_cohort("icoAIS", ["train"] * 4 + ["validation"] * 5 + ["test"] * 3, labelled=True)
    made.add_cohort("CENTER-TBI", ["train"] * 3 + ["validation"], labelled=False)
    made.finish()
    return made

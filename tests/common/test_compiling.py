import pytest

from workflow_scripts.common.compiling import trial_compiles
from workflow_scripts.common.errors import InputError


def no_compiler() -> None:
    raise RuntimeError("inductor\nFailed to find C compiler. Please specify via CC environment variable")


def test_compiles_where_the_trial_succeeds_and_the_choice_lets_it():
    assert trial_compiles(lambda: None, "finetune.compile", "auto")
    assert not trial_compiles(lambda: None, "finetune.compile", "never")


def test_auto_goes_on_without_and_says_why_while_always_stops(caplog):
    assert not trial_compiles(no_compiler, "finetune.compile", "auto")
    assert "Failed to find C compiler" in caplog.text
    with pytest.raises(InputError, match=r"Failed to find C compiler.*gcc.*finetune\.compile to auto"):
        trial_compiles(no_compiler, "finetune.compile", "always")

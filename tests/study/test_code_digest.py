"""The digest of code: comments do not count, meaning does, wherever in the import chain it lies."""

import pytest

from workflow_scripts.study import code_digest as code

MODULE = '"""Docstring."""\n\nfrom workflow_scripts.common import helper\n\n\ndef answer():\n    return helper.VALUE\n'
HELPER = 'VALUE = 42\nSTYLE = "style.css"\n'


@pytest.fixture
def digest(tmp_path, monkeypatch):
    """Write the package's files, changed as told, and return the digest of its module."""

    def digest_of(module=MODULE, helper=HELPER, style="p {}", unrelated="A = 1\n"):
        package = tmp_path / "workflow_scripts" / "common"
        package.mkdir(parents=True, exist_ok=True)
        for name, text in {"module": module, "helper": helper, "unrelated": unrelated}.items():
            (package / f"{name}.py").write_text(text)
        (package / "style.css").write_text(style)
        monkeypatch.setattr(code, "ROOT", tmp_path)
        for function in (code.code_digest, code._tree, code._own_digest, code._imported):
            function.cache_clear()
        return code.code_digest("common.module")

    yield digest_of
    monkeypatch.undo()
    for function in (code.code_digest, code._tree, code._own_digest, code._imported):
        function.cache_clear()


@pytest.mark.parametrize(
    "change",
    [
        {"module": MODULE.replace("Docstring.", "Another docstring.")},
        {"module": MODULE.replace("return helper.VALUE", "return (\n        helper.VALUE  # why\n    )")},
        {"helper": "# a comment\n" + HELPER},
        {"unrelated": "A = 2\n"},
    ],
    ids=["docstring", "layout", "comment of an import", "module that is not imported"],
)
def test_cosmetics_do_not_count(digest, change):
    assert digest() == digest(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"module": MODULE.replace("return helper.VALUE", "return -helper.VALUE")},
        {"helper": HELPER.replace("42", "43")},
        {"style": "p {color: red}"},
    ],
    ids=["code", "code of an import", "named file"],
)
def test_meaning_counts(digest, change):
    assert digest() != digest(**change)


def test_modules_of_the_package_have_digests_of_their_own():
    digests = {code.code_digest(name) for name in ("evaluate.score", "finetune.finetune", "pretrain.pretrain")}
    assert len(digests) == 3

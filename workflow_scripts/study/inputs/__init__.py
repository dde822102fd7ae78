"""What each rule reads: functions of the study and of the values of a rule's wildcards, a module for each stage.

Each returns paths as text: one, a list, or a mapping by name. It raises `StudyError` when the study does not have
what is asked for.
"""

from workflow_scripts.study.inputs import evaluate, finetune, ingest, preprocess, pretrain, report, segment, split

__all__ = ["evaluate", "finetune", "ingest", "preprocess", "pretrain", "report", "segment", "split"]

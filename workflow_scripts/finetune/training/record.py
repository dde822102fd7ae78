"""The record of a training: nnU-Net's, in plain numbers, with an average that survives epochs without a lesion."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nnunetv2.training.logging.nnunet_logger import MetaLogger

EMA_KEEP = 0.9  # nnU-Net's


def smoothed(pseudo_dice: Sequence[float]) -> float:
    """Exponential moving average of the pseudo-Dice, which nnU-Net chooses the best epoch by.

    An epoch whose validation patches hold no lesion, neither true nor predicted, has a pseudo-Dice of NaN. nnU-Net
    would carry the NaN on and never find a better epoch; here such an epoch changes nothing. Before the first number
    the average is 0. Without NaN it is nnU-Net's.
    """
    average = None
    for value in pseudo_dice:
        if not math.isnan(value):
            average = value if average is None else EMA_KEEP * average + (1 - EMA_KEEP) * value
    return 0.0 if average is None else float(average)


class StudyLogger(MetaLogger):
    """nnU-Net's record of a training, with the guarded average and without a plot drawn anew every epoch."""

    def log(self, key: str, value: Any, step: int) -> None:
        """Record a value of an epoch as Python's own numbers; the average follows the pseudo-Dice."""
        value = [float(each) for each in value] if isinstance(value, list) else float(value)
        if key != "mean_fg_dice":
            super().log(key, value, step)
            return
        self.local_logger.log(key, value, step)
        self.local_logger.log("ema_fg_dice", smoothed(self.get_value(key, None)[: step + 1]), step)

    def of_epochs(self, number: int) -> dict[str, list[Any]]:
        """Return the values of the first epochs."""
        return {name: list(values[:number]) for name, values in self.get_checkpoint().items()}

    def plot_progress_png(self, output_folder: str) -> None:
        """Draw nothing: the report plots curves.tsv."""


def epoch_rows(logging_lists: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Turn nnU-Net's record into the rows of ``curves.tsv``; an undefined pseudo-Dice is None."""
    columns = ("train_losses", "val_losses", "mean_fg_dice", "ema_fg_dice", "lrs")
    starts, ends = logging_lists["epoch_start_timestamps"], logging_lists["epoch_end_timestamps"]
    rows = []
    for epoch, end in enumerate(ends):
        train, validation, dice, average, rate = (float(logging_lists[column][epoch]) for column in columns)
        rows.append(
            {
                "epoch": epoch,
                "train_loss": train,
                "validation_loss": validation,
                "pseudo_dice": None if math.isnan(dice) else dice,
                "ema_pseudo_dice": average,
                "learning_rate": rate,
                "seconds": end - starts[epoch],
            }
        )
    return rows

"""Steps of a pretraining by each method, under torchrun or alone (run by a test)."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from tests.pretrain.conftest import ARCHITECTURE, make_brain
from workflow_scripts.common.files import read_yaml, write_json
from workflow_scripts.pretrain.distributed import joined, process_count
from workflow_scripts.pretrain.methods.method import METHODS
from workflow_scripts.pretrain.settings import parse_settings
from workflow_scripts.pretrain.views.batches import Purpose, Source


def main(settings_path: str, steps: str, out: str) -> None:
    """Write the losses of every step of every method."""
    torch.set_num_threads(1)
    settings = parse_settings(read_yaml(settings_path))
    if process_count() > 1:  # and each computes its share in parts, which is to change nothing
        settings = replace(settings, accumulate=3)
    with joined(torch.device("cpu")) as (processes, device):
        result = {"processes": processes.size}
        source = Source([make_brain(seed) for seed in range(6)], settings, device, 1, processes)
        for name, kind in METHODS.items():
            torch.manual_seed(settings.seed)
            method = kind(ARCHITECTURE, settings, device, processes)
            batches = source.batches(Purpose.TRAINING, 0, int(steps) * settings.batch_size)
            result[name] = [method.step(method.inputs(batch), step).tolist() for step, batch in enumerate(batches)]
        if processes.first:
            write_json(Path(out), result)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Files of SynthStrip's and SynthSR's networks in the form of the published ones, with weights of our own."""

from pathlib import Path

import torch
from nipreps.synthstrip.model import StripModel

SYNTHSR = Path(__file__).parent / "oracles" / "synthsr.h5"  # random weights


def random_synthstrip(seed: int) -> StripModel:
    """A network with few features and random weights; what it finds means nothing."""
    torch.manual_seed(seed)
    return StripModel(nb_features=2).eval()


def bright_is_brain() -> StripModel:
    """A network that takes for brain what is brighter than half, and calls a fifth of brightness 1 mm."""
    network = StripModel(nb_features=2).eval()
    first_of_skip = 4  # the last concatenation puts what comes from below first
    with torch.inference_mode():
        for parameter in network.parameters():
            parameter.zero_()
        passing = [*network.encoder[0], *network.remaining]
        for block, source in zip(passing, (0, 0, first_of_skip, 0, 0), strict=True):
            block.conv.weight[0, source, 1, 1, 1] = 1
        network.remaining[-1].conv.weight.mul_(-5)
        network.remaining[-1].conv.bias.fill_(2.5)
    return network


def write_synthstrip(path: Path, network: StripModel) -> None:
    """Write a checkpoint like the published one."""
    torch.save({"model_state_dict": network.state_dict(), "optimizer_state_dict": {}}, path)

"""A batch in parts: the step of the whole batch, in less memory."""

import numpy as np
import pytest
import torch

from workflow_scripts.pretrain.methods.in_parts import in_parts
from workflow_scripts.pretrain.methods.method import METHODS
from workflow_scripts.pretrain.views.augment import draw_parameters
from workflow_scripts.pretrain.views.batches import Views

CPU = torch.device("cpu")
STEPS = 2


def batch_of(settings, seed):
    generator = torch.Generator().manual_seed(seed)
    views = 2 * settings.batch_size, settings.local_views.count * settings.batch_size
    return tuple(
        Views(
            torch.randn(count, 1, *patch, generator=generator),
            draw_parameters(settings, count, np.random.default_rng(seed)),
        )
        for count, patch in zip(views, settings.patch_sizes, strict=False)
    )


@pytest.fixture
def trained(architecture, make_settings):
    """Take steps; returns the losses, and gradients, running statistics and centre after the first step."""

    def train(method, accumulate):
        local_views = {"count": 2, "patch_size": [4, 8, 8], "scale": [0.8, 1.2]}
        sizes = {"batch_size": 5, "samples_per_epoch": 15, "accumulate": accumulate}
        settings = make_settings(method=method, local_views=local_views, **sizes)
        torch.manual_seed(0)
        made = METHODS[method](architecture, settings, CPU)
        network = made.student if method == "desd" else made.network
        losses, left = [], {}
        for step in range(STEPS):
            losses.append(made.step(made.inputs(batch_of(settings, step)), step))
            if step == 0:
                left = {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}
                left |= {name: buffer.clone() for name, buffer in network.named_buffers()}
                left |= {"centre": made.centre.clone()} if method == "desd" else {}
        return torch.stack(losses), left

    return train


@pytest.mark.parametrize("method", ["desd", "mae"])
def test_steps_in_parts_are_those_of_the_whole_batch(trained, method):
    losses, left = trained(method, 1)
    others, other = trained(method, 4)
    torch.testing.assert_close(others, losses, rtol=1e-4, atol=1e-4)
    assert other.keys() == left.keys()
    for name, value in left.items():
        # The gradient of a bias before a norm is 0 but for rounding.
        assert torch.dist(other[name].float(), value.float()) <= 3e-4 * value.float().norm() + 1e-3, name
    assert losses.std(0).min() > 1e-3 and max(value.float().norm() for value in left.values()) > 0.1


def test_gradients_in_parts_are_those_of_the_whole_batch():
    torch.manual_seed(0)
    layer, norm = torch.nn.Conv3d(1, 3, 3), torch.nn.BatchNorm1d(3)
    views, weights = torch.randn(7, 1, 4, 4, 4), torch.randn(7, 3)
    gradients = []
    for parts in (1, 2, 7, 20):
        layer.zero_grad()
        (pooled,) = in_parts(lambda part: [layer(part).relu().mean((2, 3, 4))], views, parts)
        (norm(pooled) * weights).sum().backward()
        gradients.append(layer.weight.grad.clone())
    for gradient in gradients[1:]:
        torch.testing.assert_close(gradient, gradients[0], rtol=1e-4, atol=1e-5)


def test_of_a_part_nothing_is_kept_for_the_backward_pass():
    """Bytes that autograd holds between the passes: with parts, the inputs and results alone."""
    layers = torch.nn.Sequential(*[torch.nn.Conv3d(1 if n == 0 else 4, 4, 3, padding=1) for n in range(3)])
    views = torch.randn(8, 1, 6, 8, 8)

    def held(parts):
        kept = {}

        def pack(tensor):
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            in_parts(lambda part: [layers(part).mean((2, 3, 4))], views, parts)
        return sum(kept.values())

    assert held(4) < held(1) / 4

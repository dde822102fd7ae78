import copy
import sys
import types

import pytest
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from workflow_scripts.common.errors import InputError
from workflow_scripts.pretrain.methods import optimiser
from workflow_scripts.pretrain.methods.channels_last import (
    ChannelsLastNorm,
    for_training,
    fuse,
    kernels_compile,
)
from workflow_scripts.pretrain.methods.desd import Distillation
from workflow_scripts.pretrain.methods.heads import ProjectionHead, pool
from workflow_scripts.pretrain.methods.networks import Student, Teacher, build_encoder, bytes_of_step, check_patch
from workflow_scripts.pretrain.methods.optimiser import MixedPrecisionAdamW, parameter_groups
from workflow_scripts.pretrain.settings import HeadSizes
from workflow_scripts.pretrain.views.batches import Views
from workflow_scripts.pretrain.views.on_device import images_fit

SIZES = HeadSizes(hidden=32, bottleneck=16, prototypes=64)
FROZEN, FREE = 2, 6  # steps of the first epoch, whose last layer is frozen, and of the second


@pytest.fixture
def views():
    return torch.randn(4, 1, 6, 12, 12, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def method(architecture, make_settings):
    torch.manual_seed(0)
    return Distillation(architecture, make_settings(teacher_momentum={"start": 0.9, "end": 0.9}), torch.device("cpu"))


def snapshot(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def changed(module, before):
    return {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}


def test_head_is_a_weight_normalised_layer_on_unit_embeddings():
    torch.manual_seed(0)
    head = ProjectionHead(12, SIZES).eval()
    features = torch.randn(5, 12, 2, 3, 3)
    linear = weight_norm(torch.nn.Linear(16, 64, bias=False))
    linear.parametrizations.weight.original1.data.copy_(head.prototypes)
    linear.parametrizations.weight.original0.data.fill_(1)
    embedding = head(pool(features))
    torch.testing.assert_close(embedding, head.mlp(features.mean((2, 3, 4))))
    logits = head.logits(embedding)
    torch.testing.assert_close(logits, linear(embedding / embedding.norm(dim=1, keepdim=True)))
    assert logits.abs().max() <= 1 + 1e-6


def test_head_has_two_normalised_hidden_layers_and_a_bare_output():
    kinds = [type(layer).__name__ for layer in ProjectionHead(12, SIZES).mlp]
    assert kinds == ["Linear", "SharedBatchNorm", "GELU"] * 2 + ["Linear"]


def test_student_has_a_head_for_every_stage_and_the_teacher_the_last(any_architecture, views):
    student = Student(build_encoder(any_architecture, 1), SIZES)
    teacher, stages = Teacher(student), any_architecture["arch_kwargs"]["n_stages"]
    assert [tuple(embeddings.shape) for embeddings in student(views)] == [(4, 16)] * stages
    torch.testing.assert_close(teacher(views), student(views)[-1])
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_encoder_weights_load_strictly_into_nnunets_network_with_identical_features(any_architecture):
    encoder = build_encoder(any_architecture, 2)
    network = get_network_from_plans(
        any_architecture["network_class_name"],
        any_architecture["arch_kwargs"],
        any_architecture["_kw_requires_import"],
        2,
        3,
        deep_supervision=True,
    )
    network.encoder.load_state_dict(encoder.state_dict(), strict=True)
    images = torch.randn(2, 2, 6, 16, 16)
    for ours, theirs in zip(encoder(images), network.encoder(images), strict=True):
        assert torch.equal(ours, theirs)


def test_the_network_that_is_trained_computes_what_nnunet_would(any_architecture):
    stock = build_encoder(any_architecture, 2)
    ours = for_training(build_encoder(any_architecture, 2), torch.device("cpu"), "auto")
    ours.load_state_dict(stock.state_dict(), strict=True)
    images = torch.randn(2, 2, 6, 16, 16)
    gradients = []
    for encoder in (ours, stock):
        features = encoder(images)
        sum((pool(stage) ** 3).sum() for stage in features).backward()
        gradients.append({name: parameter.grad for name, parameter in encoder.named_parameters()})
    for one, other in zip(ours(images), stock(images), strict=True):
        torch.testing.assert_close(one, other)
    assert any(isinstance(module, ChannelsLastNorm) for module in ours.modules())
    for name, expected in gradients[1].items():
        torch.testing.assert_close(gradients[0][name], expected, atol=1e-4, rtol=1e-3)


def test_a_fused_network_computes_what_nnunet_would(any_architecture, monkeypatch):
    """On a CPU torch's own operations stand for the kernel, which tests/gpu compares with them."""

    def normalise(features, weight, bias, epsilon, slope):
        return F.leaky_relu(F.instance_norm(features, weight=weight, bias=bias, eps=epsilon), slope)

    module = types.SimpleNamespace(normalise=normalise)
    monkeypatch.setitem(sys.modules, "workflow_scripts.pretrain.methods.fused_norm", module)
    stock, ours = (build_encoder(any_architecture, 2) for _ in range(2))
    fuse(ours)
    assert not any(isinstance(module, nn.InstanceNorm3d) for module in ours.modules())
    ours.load_state_dict(stock.state_dict(), strict=True)
    images, gradients = torch.randn(2, 2, 6, 16, 16), []
    for encoder in (copy.deepcopy(ours), stock):
        sum((pool(stage) ** 3).sum() for stage in encoder(images)).backward()
        gradients.append({name: parameter.grad for name, parameter in encoder.named_parameters()})
    for one, other in zip(ours(images), stock(images), strict=True):
        torch.testing.assert_close(one, other)
    for name, expected in gradients[1].items():
        torch.testing.assert_close(gradients[0][name], expected, atol=1e-4, rtol=1e-3)


def test_without_a_compiler_torchs_own_kernels_train_or_the_training_stops(caplog, monkeypatch):
    """No Triton here: the same happens where its compiler fails."""
    monkeypatch.setitem(sys.modules, "workflow_scripts.pretrain.methods.fused_norm", None)
    assert not kernels_compile(torch.device("cpu"), "auto") and "a step takes longer" in caplog.text
    with pytest.raises(
        InputError, match=r"cannot be compiled: .* install triton and a C compiler .* pretrain\.compile"
    ):
        kernels_compile(torch.device("cpu"), "always")


@pytest.mark.parametrize("half", [torch.float16, None])
def test_a_state_goes_on_in_another_precision(architecture, make_settings, monkeypatch, caplog, half):
    """From a card or a CPU without a gradient scaler to one with it, and back."""
    optimisers = []
    for precision in (None, torch.float16) if half else (torch.float16, None):
        monkeypatch.setattr(optimiser, "half_precision", lambda *_, precision=precision: precision)
        optimisers.append(
            MixedPrecisionAdamW(Student(build_encoder(architecture, 1), SIZES), make_settings(), torch.device("cpu"))
        )
    optimisers[1].load_state_dict(optimisers[0].state_dict())
    assert f"from here on in {'float16' if half else 'float32'}" in caplog.text
    assert (optimisers[1].state_dict()["scaler"] != {}) == (half is not None)
    assert optimisers[1].state_dict()["precision"] == ("float16" if half else "float32")


@pytest.mark.parametrize("able", [True, False])
def test_a_cpu_computes_in_bfloat16_where_it_is_asked_to_and_can(
    architecture, make_settings, monkeypatch, caplog, able
):
    monkeypatch.setattr(optimiser, "multiplies_bfloat16", lambda: able)
    views, losses = torch.randn(8, 1, 6, 12, 12, generator=torch.Generator().manual_seed(0)), {}
    for precision in ("auto", "bfloat16"):
        torch.manual_seed(0)
        method = Distillation(architecture, make_settings(precision=precision), torch.device("cpu"))
        losses[precision] = method.step([views], 0)
        used = method.state_dict()["optimiser"]["precision"]
        assert used == ("bfloat16" if able and precision == "bfloat16" else "float32")
    assert torch.equal(losses["auto"], losses["bfloat16"]) != able
    torch.testing.assert_close(losses["bfloat16"], losses["auto"], rtol=0.05, atol=0)
    assert ("this CPU does not multiply bfloat16" in caplog.text) != able


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last_3d])
def test_channels_last_norm_is_torchs_instance_norm(layout):
    theirs = torch.nn.InstanceNorm3d(5, affine=True, dtype=torch.float64)
    ours = ChannelsLastNorm(theirs)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.normal_()
    maps = (3 + torch.randn(2, 5, 3, 4, 6, dtype=torch.float64)).to(memory_format=layout).requires_grad_()
    weights = torch.randn(maps.shape, dtype=torch.float64)
    results = []
    for norm in (ours, theirs):
        normalised = norm(maps)
        results.append((normalised, *torch.autograd.grad((weights * normalised).sum(), [maps, *norm.parameters()])))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(("patch", "fits"), [((3, 4, 4), True), ((2, 4, 4), False), ((2, 5, 4), True)])
def test_a_patch_that_shrinks_to_one_voxel_is_refused(architecture, patch, fits):
    encoder = build_encoder(architecture, 1)
    if fits:
        check_patch(architecture, patch)
        encoder(torch.randn(1, 1, *patch))
        return
    with pytest.raises(ValueError, match="spatial"):
        encoder(torch.randn(1, 1, *patch))
    with pytest.raises(InputError, match=r"patch_size \[2, 4, 4\].*strides \[\[1, 1, 1\]"):
        check_patch(architecture, patch)


def test_teacher_follows_the_student_as_computed_by_hand(architecture):
    student = Student(build_encoder(architecture, 1), SIZES)
    teacher = Teacher(student)
    start = [p.clone() for p in teacher.encoder.parameters()] + [p.clone() for p in teacher.head.parameters()]
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.add_(torch.randn_like(parameter))
    teacher.follow(student, 0.75)
    now = [*teacher.encoder.parameters(), *teacher.head.parameters()]
    aims = [*student.encoder.parameters(), *student.heads[-1].parameters()]
    for own, before, aim in zip(now, start, aims, strict=True):
        torch.testing.assert_close(own, 0.75 * before + 0.25 * aim)


def test_the_teachers_running_statistics_are_those_of_its_own_features(method, views):
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in method.student.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    expected = []
    for encoder, head in (
        (method.teacher.encoder, method.teacher.head),
        (method.student.encoder, method.student.heads[-1]),
    ):
        expected.append(0.1 * head.mlp[0](encoder(views)[-1].mean((2, 3, 4))).mean(0))
    method.step([views], FREE)
    torch.testing.assert_close(method.teacher.head.mlp[1].running_mean, expected[0])
    torch.testing.assert_close(method.student.heads[-1].mlp[1].running_mean, expected[1])
    assert not torch.allclose(*expected)


def test_step_moves_centre_and_teacher_by_hand_computation(method, views):
    teacher = snapshot(method.teacher)
    method.teacher.train()
    logits = method.teacher.head.logits(method.teacher(views))
    method.teacher.load_state_dict(teacher)
    method.teacher.eval()
    method.step([views], FREE)
    torch.testing.assert_close(method.centre, 0.1 * logits.mean(0))
    name = "encoder.stages.0.0.convs.0.conv.weight"
    expected = 0.9 * teacher[name] + 0.1 * method.student.state_dict()[name]
    torch.testing.assert_close(method.teacher.state_dict()[name], expected)


def test_frozen_last_layer_keeps_the_prototypes_of_all_heads(method, views):
    before = snapshot(method.student)
    method.step([views], FROZEN)
    moved = changed(method.student, before)
    assert moved and not any("prototypes" in name for name in moved)
    method.step([views], FREE)
    assert sum("prototypes" in name for name in changed(method.student, before)) == 3


def test_evaluation_changes_neither_centre_nor_statistics_nor_weights(method, views):
    method.step([views], FREE)
    centre, student, teacher = method.centre.clone(), snapshot(method.student), snapshot(method.teacher)
    method.evaluate([views], FREE)
    method.measure(method.embed((Views(views, None),)), FREE)
    assert torch.equal(method.centre, centre)
    assert not changed(method.student, student) and not changed(method.teacher, teacher)


def test_weight_decay_spares_biases_and_norms(architecture):
    student = Student(build_encoder(architecture, 1), SIZES)
    groups = parameter_groups(student)
    decayed = [p for group in groups if group["decays"] for p in group["params"]]
    spared = [p for group in groups if not group["decays"] for p in group["params"]]
    assert all(parameter.ndim > 1 for parameter in decayed) and all(parameter.ndim == 1 for parameter in spared)
    assert len(decayed) + len(spared) == len(list(student.parameters()))


def test_the_gradient_of_each_parameter_is_clipped_by_itself(architecture, make_settings, views):
    optimiser = make_settings().to_mapping()["optimiser"] | {"clip_gradient": 1e-3}
    torch.manual_seed(0)
    method = Distillation(architecture, make_settings(optimiser=optimiser), torch.device("cpu"))
    method.step([views], FREE)
    norms = torch.stack([p.grad.norm() for p in method.student.parameters()])
    assert norms.max().item() == pytest.approx(1e-3, rel=1e-2) and (norms > 9e-4).sum() > 1


def test_what_a_step_takes_is_estimated_as_it_was_measured(architecture, make_settings):
    """The paper's step on an H100 (docs/gpu.md): 13.6 GB with kernels of ours, 15.9 GB with torch's."""
    arguments = {
        **architecture["arch_kwargs"],
        "features_per_stage": [32, 64, 128, 256, 320, 320],
        "strides": [[1, 1, 1], *[[2, 2, 2]] * 4, [1, 2, 2]],
        "n_conv_per_stage": [2] * 6,
    }
    head = {"hidden": 2048, "bottleneck": 256, "prototypes": 65536}
    sizes = {"batch_size": 64, "samples_per_epoch": 9600, "patch_size": [16, 112, 112], "slab_slices": 24}
    settings = make_settings(projection_head=head, **sizes)
    assert 13.6e9 < bytes_of_step({"arch_kwargs": arguments}, settings) < 1.2 * 15.9e9


def test_images_lie_on_a_gpu_where_they_take_half_of_what_is_free(make_scan):
    scan = make_scan()
    size = 2 * 2 * scan.image.size
    assert images_fit([scan], 2 * size) and not images_fit([scan], 2 * size - 2) and not images_fit([scan], 0)

"""What a step computes: kernels beside float64, precisions beside float32, a resumed training beside another."""

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import distributed, nn
from torch.nn import functional as F

from tests.gpu.conditions import STEP, Conditions
from tests.gpu.speed import a_batch, source_of
from tests.gpu.table import Table, changed, fresh_memory, milliseconds
from workflow_scripts.pretrain.methods.channels_last import fuse
from workflow_scripts.pretrain.methods.desd import Distillation
from workflow_scripts.pretrain.methods.heads import SharedBatchNorm
from workflow_scripts.pretrain.methods.loss import stage_losses, teacher_probabilities
from workflow_scripts.pretrain.methods.monitors import rankme
from workflow_scripts.pretrain.views.batches import Purpose

EXACT = torch.backends.cudnn, "allow_tf32", False
ON_DEVICE = {"images_on_device": "always"}


def kernels_beside_float64(conditions: Conditions, table: Table) -> None:
    """Relative errors of the fused norm, beside torch's in the same precision: fresh values, all gradients."""
    if not conditions.gpu:
        return
    shapes = ((2, 32, 16, 112, 112), (3, 320, 1, 7, 7), (2, 70, 5, 9, 11), (2, 5, 1, 4, 4))
    for kind in (torch.float32, torch.float16):
        worst = {"ours": 0.0, "torch's": 0.0}
        for shape in shapes:
            for offset in (0.0, 30.0):
                for name, errors in _errors(shape, offset, kind, conditions.device).items():
                    worst[name] = max(worst[name], *errors)
        name = str(kind).removeprefix("torch.")
        remark = "torch's {:.2g}".format(worst["torch's"])
        table.add(f"largest relative error of the fused norm, {name}", worst["ours"], remark)


def _errors(shape: tuple[int, ...], offset: float, kind: torch.dtype, device: torch.device) -> dict[str, list[float]]:
    norm = nn.InstanceNorm3d(shape[1], affine=True).to(device)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    stock = nn.Sequential(norm, nn.LeakyReLU())
    exact = nn.Sequential(nn.InstanceNorm3d(shape[1], affine=True), nn.LeakyReLU()).to(device).double()
    exact.load_state_dict(stock.state_dict())
    features = (torch.randn(shape, device=device) + offset).to(kind)
    gradient = torch.randn(shape, device=device).to(kind)
    wanted, errors = _outputs(exact, features.double(), gradient.double()), {}
    ours = nn.Sequential(nn.InstanceNorm3d(shape[1], affine=True), nn.LeakyReLU()).to(device)
    ours.load_state_dict(stock.state_dict())
    fuse(ours)
    for name, network in (("ours", ours), ("torch's", stock)):
        found = _outputs(network, features, gradient)
        errors[name] = [float((a.double() - b).norm() / b.norm()) for a, b in zip(found, wanted, strict=True)]
    return errors


def _outputs(network: nn.Module, features: torch.Tensor, gradient: torch.Tensor) -> list[torch.Tensor]:
    features = features.to(memory_format=torch.channels_last_3d).requires_grad_()
    result = network(features)
    return [result, *torch.autograd.grad(result, [features, *network.parameters()], gradient)]


def precisions(conditions: Conditions, table: Table) -> None:
    """How much of what a head says about a view survives 16 bit, and of the encoder's gradient."""
    batch = min(conditions.batch, 32)
    views = a_batch(conditions, conditions.settings(batch_size=batch, **ON_DEVICE)).augmented()
    found: dict[str, tuple[list[torch.Tensor], torch.Tensor]] = {}
    targets = None
    cases = {"float32": {"compile": "never"}, "float16": {}, "bfloat16": {}, "float16, torch's": {"compile": "never"}}
    with changed(EXACT):
        for name, changes in cases.items():
            fresh_memory()
            settings = conditions.settings(batch_size=batch, precision=name.partition(",")[0], **changes)
            method = conditions.method(settings)
            method.student.train()
            with method._optimiser.autocast():
                embeddings = method.student(views)
            if targets is None:
                logits = method.teacher.head.logits(embeddings[-1].detach())
                targets = teacher_probabilities(logits, method.centre, 0.04)
            prototypes = [head.prototypes for head in method.student.heads]
            losses = stage_losses(embeddings, prototypes, targets, 0.1)
            found[name] = [rows.detach() for rows in embeddings], _gradient(method, losses.mean())
            del method
    for name in list(found)[1:]:
        pairs = zip(found[name][0], found["float32"][0], strict=True)
        errors = [float((a - b).norm() / (b - b.mean(0)).norm()) for a, b in pairs]
        cosine = float(F.cosine_similarity(found[name][1], found["float32"][1], dim=0))
        remark = "errors of the heads' outputs by stage: " + ", ".join(f"{error:.3f}" for error in errors)
        table.add(f"cosine of the encoder's gradient with float32, {name}", cosine, remark)


def _gradient(method: Distillation, loss: torch.Tensor) -> torch.Tensor:
    """Gradient of the encoder's weights, by the largest scale of the loss that does not overflow."""
    weights = [parameter for parameter in method.student.encoder.parameters() if parameter.ndim > 1]
    for scale in (1024.0, 16.0, 1.0):
        gradients = torch.autograd.grad(loss * scale, weights, retain_graph=True)
        flat = torch.cat([gradient.flatten().float() / scale for gradient in gradients])
        if flat.isfinite().all():
            break
    return flat


def trainings(conditions: Conditions, table: Table) -> None:
    """Real steps in each precision, with learning rates at which something happens."""
    curves = {}
    optimiser = {
        "learning_rate": 1e-3,
        "min_learning_rate_ratio": 0.1,
        "warmup_epochs": 0,
        "weight_decay": {"start": 0.04, "end": 1e-5},
        "clip_gradient": 3.0,
        "frozen_last_layer_epochs": 0,
        "encoder": None,
    }
    for precision in ("float32", "float16"):
        fresh_memory()
        settings = conditions.settings(
            epochs=2,
            samples_per_epoch=conditions.steps * conditions.batch,
            optimiser=optimiser,
            teacher_momentum={"start": 0.99, "end": 1.0},
            precision=precision,
            **ON_DEVICE,
        )
        method, source, losses = conditions.method(settings), source_of(conditions, settings), []
        for number, batch in enumerate(source.batches(Purpose.TRAINING, 0, settings.samples_per_epoch)):
            losses.append(method.step(method.inputs(batch), number).mean())
        curve = torch.stack(losses).cpu()
        rows = torch.cat([method.embed(batch) for batch in source.batches(Purpose.RANKME, 0, conditions.rankme // 4)])
        monitors = method.measure(rows.cpu(), conditions.steps - 1)
        curves[precision] = curve
        remark = (
            f"first {curve[0]:.4f}, last ten {curve[-10:].mean():.4f}, information "
            f"{monitors['teacher_information']:.4f}, RankMe {rankme(rows.cpu(), False):.1f}"
        )
        table.add(f"{conditions.steps} steps in {precision} have finite losses", bool(curve.isfinite().all()), remark)
        del method
    difference = float((curves["float16"] - curves["float32"]).abs().max())
    table.add("largest difference of their losses", difference)


def other_precision(conditions: Conditions, table: Table) -> None:
    """A state saved in bfloat16 goes on in float16."""
    saved = conditions.method(conditions.settings(precision="bfloat16" if conditions.gpu else "auto")).state_dict()
    method = conditions.method(conditions.settings(precision="float16"))
    method.load_state_dict(saved)
    views = a_batch(conditions, conditions.settings(**ON_DEVICE)).augmented()
    losses = method.step([views], STEP)
    table.add("a state saved in bfloat16 goes on in float16", bool(losses.isfinite().all()))


def shared_batch_norm(conditions: Conditions, table: Table) -> None:
    """With a process group of one: the norm over all processes beside float64, and a step under DDP."""
    kind = "cpu:gloo,cuda:nccl" if conditions.gpu else "gloo"
    with tempfile.TemporaryDirectory() as folder:
        distributed.init_process_group(kind, init_method=f"file://{folder}/store", rank=0, world_size=1)
        try:
            for ratio in (1e2, 1e4, 1e6):
                rows = torch.randn(128, 256, device=conditions.device) + ratio**0.5
                exact = nn.BatchNorm1d(256).to(conditions.device).double()(rows.double()).float()
                error = float((SharedBatchNorm(256).to(conditions.device)(rows) - exact).detach().abs().max())
                table.add(f"error of SharedBatchNorm, mean^2 {ratio:.0e} times the variance", error, "1e-3 wanted")
            method = conditions.method(conditions.settings())
            devices = [0] if conditions.gpu else None
            method._network = nn.parallel.DistributedDataParallel(method.student, devices, broadcast_buffers=False)
            views = a_batch(conditions, conditions.settings(**ON_DEVICE)).augmented()
            ms = milliseconds(lambda: method.step([views], STEP), conditions.repeats)
            table.add("ms of a step under DDP, one process", ms)
        finally:
            distributed.destroy_process_group()


def voxels_beyond_32_bit(conditions: Conditions, table: Table) -> None:
    """The line of voxels of a cohort is longer than 2^31: its last ones are read right."""
    length = 2**31 + 2**20 if conditions.gpu else 2**20
    line = torch.zeros(length, dtype=torch.float16, device=conditions.device)
    line[-5:] = torch.arange(5, dtype=torch.float16, device=conditions.device)
    index: Any = torch.arange(length - 5, length, device=conditions.device).expand(4, 5)
    right = (line[index] == torch.arange(5, device=conditions.device)).all()
    table.add("voxels beyond 2^31 are read right", bool(right))


def resumed(conditions: Conditions, table: Table) -> None:
    """Weights after four steps: again undisturbed, and from a state saved after two."""
    from workflow_scripts.common.saved_states import States

    found = []
    settings = conditions.settings(**ON_DEVICE)
    for interrupted in (False, False, True):
        fresh_memory()
        with tempfile.TemporaryDirectory() as folder:
            method, source = conditions.method(settings), source_of(conditions, settings)
            for number, batch in enumerate(source.batches(Purpose.TRAINING, 1, 4 * conditions.batch)):
                if interrupted and number == 2:
                    with States(Path(folder)) as states:
                        states.save(method.state_dict(), number)
                    method = conditions.method(settings)
                    method.load_state_dict(States(Path(folder)).load())
                method.step(method.inputs(batch), 2 * STEP + number)
            found.append({name: value.cpu().clone() for name, value in method.student.state_dict().items()})
        del method
    for name, other in (("again, undisturbed", found[1]), ("resumed from a saved state", found[2])):
        worst = max(float((found[0][key].float() - value.float()).abs().max()) for key, value in other.items())
        table.add(f"largest difference of weights after 4 steps, {name}", worst, "0 wanted")

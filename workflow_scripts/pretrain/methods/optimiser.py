"""One step down the gradient, alike for every method: AdamW, mixed precision, clipping (paper 3.4.2)."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from workflow_scripts.common.errors import InputError
from workflow_scripts.pretrain.methods.schedules import StepValues
from workflow_scripts.pretrain.settings import PretrainSettings

log = logging.getLogger(__name__)

CLIP_EPSILON = 1e-6


class MixedPrecisionAdamW:
    """Optimiser and gradient scaler of a network."""

    def __init__(self, network: nn.Module, settings: PretrainSettings, device: torch.device) -> None:
        self._parameters = list(network.parameters())
        self._clip = settings.optimiser.clip_gradient
        self._device = device
        self._half = half_precision(settings.precision, device)
        self._adamw = torch.optim.AdamW(parameter_groups(network), lr=0.0, fused=True)
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._half == torch.float16)

    @property
    def precision(self) -> str:
        """Name of the type that networks are computed in."""
        return str(self._half or torch.float32).removeprefix("torch.")

    def autocast(self) -> torch.autocast:
        """Return the context in which networks are computed in 16 bit, where the settings and the device allow it."""
        return torch.autocast(self._device.type, dtype=self._half, enabled=self._half is not None)

    def step(self, loss: Tensor, values: StepValues, frozen: Iterable[nn.Parameter] = ()) -> None:
        """Take one step with the learning rate and weight decay of ``values``, leaving ``frozen`` as they are."""
        for group in self._adamw.param_groups:
            group["lr"] = values.encoder_learning_rate if group["encoder"] else values.learning_rate
            if group["decays"]:
                group["weight_decay"] = values.encoder_weight_decay if group["encoder"] else values.weight_decay
        self._adamw.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._adamw)
        for parameter in frozen:
            parameter.grad = None
        if self._clip is not None:
            clip_each(self._parameters, self._clip)
        self._scaler.step(self._adamw)
        self._scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """Return all that a later step depends on."""
        return {
            "optimiser": self._adamw.state_dict(),
            "scaler": self._scaler.state_dict(),
            "precision": self.precision,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned, maybe on another device; its precision is that of this one.

        A loss scale is only what steps in float16 had: without them the scaler begins anew.
        """
        self._adamw.load_state_dict(state["optimiser"])
        if state["scaler"] and self._scaler.is_enabled():
            self._scaler.load_state_dict(state["scaler"])
        if state["precision"] != self.precision:
            log.warning("trained in %s until now, from here on in %s", state["precision"], self.precision)


def parameter_groups(network: nn.Module) -> list[dict[str, Any]]:
    """Split parameters by whether they are of ``network.encoder`` and have weight decay.

    Biases and norms have none, as in DINO.
    """
    encoder = {id(parameter) for parameter in network.encoder.parameters()}
    groups = {
        (inside, decays): {"params": [], "encoder": inside, "decays": decays, "weight_decay": 0.0}
        for inside in (True, False)
        for decays in (True, False)
    }
    for parameter in network.parameters():
        if parameter.requires_grad:
            groups[id(parameter) in encoder, parameter.ndim > 1]["params"].append(parameter)
    return [group for group in groups.values() if group["params"]]


def half_precision(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the 16-bit type to compute in, `auto`: float16 on a GPU; None for float32.

    float16 is what the authors used. On an H100 the encoder's gradient has a cosine of 0.98 with that of float32; in
    bfloat16, whose numbers have 8 bits of precision, 0.82 (docs/gpu.md). A CPU computes in float32, but for `bfloat16`
    where it multiplies it itself (AMX, AVX-512); without, that would be slower, and a warning says so.

    Raises `InputError` for bfloat16 on a GPU without it.
    """
    if precision == "float32":
        return None
    if device.type == "cpu":
        if precision == "bfloat16" and not multiplies_bfloat16():
            log.warning("this CPU does not multiply bfloat16: the networks are computed in float32")
        return torch.bfloat16 if precision == "bfloat16" and multiplies_bfloat16() else None
    if precision == "bfloat16" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise InputError("This GPU does not compute in bfloat16.", "set pretrain.precision to auto.")
    return torch.bfloat16 if precision == "bfloat16" else torch.float16


def multiplies_bfloat16() -> bool:
    """Whether this CPU has instructions for products of bfloat16."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def clip_each(parameters: Iterable[nn.Parameter], limit: float) -> None:
    """Scale the gradient of each parameter, by itself, down to a norm of at most ``limit``, as DINO does."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norms = torch.stack(torch._foreach_norm(gradients))
    torch._foreach_mul_(gradients, list((limit / (norms + CLIP_EPSILON)).clamp_max_(1).unbind()))


def parallel(network: nn.Module, device: torch.device, size: int) -> nn.Module:
    """Wrap a network so that its gradients are averaged over ``size`` processes; itself where there is one."""
    if size == 1:
        return network
    devices = [device.index] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(network, devices, broadcast_buffers=False)

"""One step down the gradient, alike for every method: AdamW, mixed precision, clipping (paper 3.4.2)."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from workflow_scripts.pretrain.methods.schedules import StepValues
from workflow_scripts.pretrain.settings import PretrainSettings


class MixedPrecisionAdamW:
    """Optimiser and gradient scaler of a network."""

    def __init__(self, network: nn.Module, settings: PretrainSettings, device: torch.device) -> None:
        self._parameters = list(network.parameters())
        self._clip = settings.optimiser.clip_gradient
        self._device = device
        self._half = half_precision(settings.precision, device)
        self._adamw = torch.optim.AdamW(parameter_groups(network), lr=0.0, fused=True)
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._half == torch.float16)

    def autocast(self) -> torch.autocast:
        """Return the context in which networks are computed in 16 bit, where the settings and the device allow it."""
        return torch.autocast(self._device.type, dtype=self._half, enabled=self._half is not None)

    def step(self, loss: Tensor, values: StepValues, frozen: Iterable[nn.Parameter] = ()) -> None:
        """Take one step with the learning rate and weight decay of ``values``, leaving ``frozen`` as they are."""
        for group in self._adamw.param_groups:
            group["lr"] = values.learning_rate
            if group["decays"]:
                group["weight_decay"] = values.weight_decay
        self._adamw.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()
        self._scaler.unscale_(self._adamw)
        for parameter in frozen:
            parameter.grad = None
        if self._clip is not None:
            nn.utils.clip_grad_norm_(self._parameters, self._clip)
        self._scaler.step(self._adamw)
        self._scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """Return all that a later step depends on."""
        return {"optimiser": self._adamw.state_dict(), "scaler": self._scaler.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self._adamw.load_state_dict(state["optimiser"])
        self._scaler.load_state_dict(state["scaler"])


def parameter_groups(network: nn.Module) -> list[dict[str, Any]]:
    """Split parameters into those with and without weight decay: biases and norms have none, as in DINO."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "decays": True},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0, "decays": False},
    ]


def half_precision(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the 16-bit type to compute in: None for float32, which is also what `auto` means on a CPU."""
    if precision == "float32" or device.type == "cpu":
        return None
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def parallel(network: nn.Module, device: torch.device, size: int) -> nn.Module:
    """Wrap a network so that its gradients are averaged over ``size`` processes; itself where there is one."""
    if size == 1:
        return network
    devices = [device.index] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(network, devices, broadcast_buffers=False)

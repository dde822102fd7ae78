"""How fast views are made and a step is taken, and what the loop adds."""

import os
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.benchmarks.plain_dino import PlainDino
from tests.gpu.conditions import STEP, Conditions
from tests.gpu.table import Table, changed, fresh_memory, milliseconds, peak_gb, wait
from workflow_scripts.pretrain.distributed import ALONE
from workflow_scripts.pretrain.methods import channels_last
from workflow_scripts.pretrain.methods.networks import build_encoder
from workflow_scripts.pretrain.settings import PretrainSettings
from workflow_scripts.pretrain.views import augment
from workflow_scripts.pretrain.views.ahead import prepared
from workflow_scripts.pretrain.views.batches import Purpose, Source, Views

PRODUCT = "TFLOP/s of a matrix product in 16 bit"


def environment(conditions: Conditions, table: Table) -> None:
    device = torch.cuda.get_device_name(0) if conditions.gpu else "a CPU: tiny sizes, no figure means anything"
    table.add("torch", torch.__version__)
    table.add("device", device)
    if conditions.gpu:
        table.add("driver", _driver())
    table.add("TFLOP of a step, counted", conditions.step_flop() / 1e12)
    size = 8192 if conditions.gpu else 256
    left, right = (torch.randn(size, size, device=conditions.device, dtype=torch.float16) for _ in range(2))
    table.add(PRODUCT, 2 * size**3 / milliseconds(lambda: left @ right, 8) / 1e9, "MFU is of this")


def _driver() -> str:
    from workflow_scripts.common.device import driver_version

    return driver_version() or "unknown"


def source_of(conditions: Conditions, settings: PretrainSettings, threads: int = 1) -> Source:
    return Source(conditions.scans, settings, conditions.device, threads, ALONE)


def a_batch(conditions: Conditions, settings: PretrainSettings) -> Views:
    source = source_of(conditions, settings)
    return next(iter(source.batches(Purpose.TRAINING, 0, settings.samples_per_epoch)))[0]


def data(conditions: Conditions, table: Table) -> None:
    """Views a second, where the time goes, and how often the host waits."""
    for where, threads in (("always", 1), ("never", 8), ("never", os.cpu_count() or 1)):
        settings = conditions.settings(images_on_device=where)
        batches = source_of(conditions, settings, threads).batches(Purpose.TRAINING, 0, settings.samples_per_epoch)
        ms = milliseconds(lambda batches=batches: next(batches)[0].augmented(), conditions.repeats)
        name = "cut on the device" if where == "always" else f"read by {threads} threads"
        table.add(f"ms to make a batch, {name}", ms, f"{2e3 * conditions.batch / ms:.0f} views/s")
    settings = conditions.settings(images_on_device="always")
    views = a_batch(conditions, settings)
    plain, drawn = views.plain, views.parameters
    for name, function in {
        "noise": lambda: augment.add_noise(plain, drawn),
        "blur": lambda: augment.blur(plain, drawn.blur_sigma),
        "brightness and contrast": lambda: augment.change_brightness(plain, drawn.factor, drawn.shift, drawn.contrast),
        "gamma": lambda: augment.change_gamma(plain, drawn.exponent),
        "flip": lambda: augment.flip(plain, drawn.flip),
    }.items():
        table.add(f"ms of a batch, {name}", milliseconds(function, conditions.repeats))
    source = source_of(conditions, settings)
    batches = iter(source.batches(Purpose.TRAINING, 0, settings.samples_per_epoch))
    next(batches)[0].augmented()
    waits = host_waits(lambda: next(batches)[0].augmented())
    table.add("times the host waits for the GPU to make a batch", len(waits), "; ".join(sorted(set(waits)))[:200])
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    few = conditions.settings(batch_size=4, images_on_device="never")
    on_host = Source(conditions.scans, few, torch.device("cpu"), 1, ALONE)
    batches = on_host.batches(Purpose.TRAINING, 0, few.samples_per_epoch)
    next(batches)
    started = time.process_time()
    for _ in range(conditions.repeats // 2 + 1):
        next(batches)[0].augmented()
    spent = time.process_time() - started
    table.add("views/s on one core of the CPU", 8 * (conditions.repeats // 2 + 1) / spent)
    torch.set_num_threads(threads)


def host_waits(function: Callable[[], Any]) -> list[str]:
    """Where a call made the host wait for a GPU: file and line."""
    if not torch.cuda.is_available():
        function()
        return []
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            function()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    waits = [warning for warning in caught if "synchroniz" in str(warning.message)]
    return [f"{Path(warning.filename).name}:{warning.lineno}" for warning in waits]


def step(conditions: Conditions, table: Table) -> None:
    """The paper's step with torch's kernels and ours, layouts, choice of algorithms, precisions."""
    views = a_batch(conditions, conditions.settings(images_on_device="always")).augmented()
    benchmark = (torch.backends.cudnn, "benchmark", True)
    variants: dict[str, tuple[dict[str, Any], list[tuple[Any, str, Any]]]] = {
        "torch's kernels": ({"compile": "never"}, []),
        "ours": ({}, []),
        "ours, cudnn.benchmark": ({}, [benchmark]),
        "ours, bfloat16": ({"precision": "bfloat16"}, []),
        "ours, float32 (TF32 convolutions)": ({"precision": "float32"}, []),
    }
    for name, (changes, patches) in variants.items():
        fresh_memory()
        with changed(*patches):
            method = conditions.method(conditions.settings(**changes))
            ms = milliseconds(lambda method=method: method.step([views], STEP), conditions.repeats, warm=3)
        _add_step(conditions, table, name, ms)
        if name == "ours":
            conditions.step_ms = ms
        del method
    method = conditions.method(conditions.settings())
    method.step([views], STEP)
    waits = host_waits(lambda: method.step([views], STEP))
    table.add("times the host waits for the GPU in a step", len(waits), "; ".join(sorted(set(waits)))[:200])


def _add_step(conditions: Conditions, table: Table, name: str, ms: float) -> None:
    product = float(table.rows[PRODUCT][0]) * 1e12
    mfu = 100 * conditions.step_flop() / (ms * 1e-3) / product
    memory = f", peak {peak_gb():.1f} GB" if conditions.gpu else ""
    table.add(f"ms of a step, {name}", ms, f"{1e3 * conditions.batch / ms:.0f} images/s, MFU {mfu:.1f} %{memory}")


class PlainNorm(channels_last.ChannelsLastNorm):
    """In operations that torch.compile can fuse."""

    def forward(self, features: Tensor) -> Tensor:
        values = features.float()
        variance, mean = torch.var_mean(values, (2, 3, 4), correction=0, keepdim=True)
        weight, bias = self.weight.view(-1, 1, 1, 1), self.bias.view(-1, 1, 1, 1)
        return ((values - mean) * (variance + self.epsilon).rsqrt() * weight + bias).to(features.dtype)


def compiled(conditions: Conditions, table: Table) -> None:
    """torch.compile of torch's network, channels last, with a norm that its compiler can fuse: the other way."""
    if not conditions.gpu:
        return table.add("torch.compile", "not rehearsed")
    views = a_batch(conditions, conditions.settings(images_on_device="always")).augmented()
    fresh_memory()
    method = conditions.method(conditions.settings(compile="never"))
    for network in (method.student, method.teacher):
        norms = [module for module in network.modules() if isinstance(module, nn.InstanceNorm3d)]
        channels_last._replace(network, {norm: PlainNorm(norm) for norm in norms})
        network.to(memory_format=torch.channels_last_3d)
        network.encoder.compile()
    started = time.perf_counter()
    method.step([views], STEP)
    wait()
    table.add("s of the first step, torch.compile", time.perf_counter() - started)
    ms = milliseconds(lambda: method.step([views], STEP), conditions.repeats, warm=3)
    return _add_step(conditions, table, "torch.compile, channels last", ms)


def kernels(conditions: Conditions, table: Table) -> None:
    """The kernels that take most of a step."""
    if not conditions.gpu:
        return
    views = a_batch(conditions, conditions.settings(images_on_device="always")).augmented()
    method = conditions.method(conditions.settings())
    for _ in range(2):
        method.step([views], STEP)
    wait()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        method.step([views], STEP)
        wait()
    found = [event for event in profile.key_averages() if event.self_device_time_total]
    total = sum(event.self_device_time_total for event in found) / 1e3
    table.add("ms of kernels in a step", total, f"{sum(event.count for event in found)} kernels")
    for event in sorted(found, key=lambda event: -event.self_device_time_total)[:28]:
        ms = event.self_device_time_total / 1e3
        table.add(f"ms of {event.count} x {event.key[:90]}", ms, f"{100 * ms / total:.1f} %")


def loop(conditions: Conditions, table: Table) -> None:
    """Data and step as the training interleaves them."""
    for where, threads in (("always", 1), ("never", 8)):
        fresh_memory()
        settings = conditions.settings(images_on_device=where)
        ms = loop_ms(conditions, settings, threads)
        name = "images on the device" if where == "always" else f"read by {threads} threads"
        share = 100 * (1 - conditions.step_ms / ms)
        remark = f"data {share:.1f} % (< 10 wanted), {1e3 * conditions.batch / ms:.0f} images/s"
        table.add(f"ms of a step with its data, {name}", ms, remark)
        if where == "always":
            conditions.loop_ms = ms
    hours = conditions.loop_ms * 15000 / 3.6e6
    table.add("hours of 100 epochs of 150 steps", hours, "without validation, RankMe and saving")


def loop_ms(conditions: Conditions, settings: PretrainSettings, threads: int) -> float:
    source, method = source_of(conditions, settings, threads), conditions.method(settings)
    batches = source.batches(Purpose.TRAINING, 1, settings.samples_per_epoch)
    pairs = prepared(batches, method.inputs, conditions.device)
    for _ in range(3):
        method.step(next(pairs)[1], STEP)
    wait()
    started, count = time.perf_counter(), 30 if conditions.gpu else 2
    for number in range(count):
        method.step(next(pairs)[1], STEP + number)
    wait()
    return 1e3 * (time.perf_counter() - started) / count


def plain(conditions: Conditions, table: Table) -> None:
    """DINO as it is usually written, a head a stage, with a network of torch's kernels."""
    views = a_batch(conditions, conditions.settings(images_on_device="always")).augmented()
    for name, half in (("float16 autocast", torch.float16), ("float32 (TF32 convolutions)", None)):
        fresh_memory()
        torch.manual_seed(0)
        encoder = build_encoder(conditions.architecture, 1).to(conditions.device)
        reference = PlainDino(encoder, *conditions.head.values())

        def one(reference: PlainDino = reference, half: torch.dtype | None = half) -> None:
            with torch.autocast(conditions.device.type, half or torch.bfloat16, enabled=half is not None):
                reference.step(views)

        ms = milliseconds(one, conditions.repeats)
        ratio = ms / conditions.step_ms
        table.add(f"ms of a step, plain DINO, {name}", ms, f"{ratio:.2f} times ours (2.5 wanted), {peak_gb():.1f} GB")
        del reference

"""What a saved state and the measurements at the end of an epoch cost."""

import tempfile
import time
from pathlib import Path

from tests.gpu.conditions import STEP, Conditions
from tests.gpu.speed import source_of
from tests.gpu.table import Table, fresh_memory, wait
from workflow_scripts.common.saved_states import States
from workflow_scripts.pretrain.distributed import ALONE
from workflow_scripts.pretrain.engine.finite import require_finite_state
from workflow_scripts.pretrain.engine.loop import measure_embeddings, validate
from workflow_scripts.pretrain.views.ahead import prepared
from workflow_scripts.pretrain.views.batches import Purpose


def saving(conditions: Conditions, table: Table) -> None:
    """How long a training stands still for a state, and how much slower its steps are while it is written."""
    fresh_memory()
    settings = conditions.settings(images_on_device="always")
    with tempfile.TemporaryDirectory() as folder:
        source, method, states = source_of(conditions, settings), conditions.method(settings), States(Path(folder))
        batches = source.batches(Purpose.TRAINING, 1, settings.samples_per_epoch)
        pairs, count = prepared(batches, method.inputs, conditions.device), 45 if conditions.gpu else 2
        for _ in range(2):
            method.step(next(pairs)[1], STEP)
        wait()
        spent, pause = {}, 0.0
        for saved in (False, True):
            started = time.perf_counter()
            for number in range(count):
                method.step(next(pairs)[1], STEP + number)
                if saved and number == 0:
                    wait()
                    paused = time.perf_counter()
                    state = {"method": method.state_dict()}
                    require_finite_state(state, STEP, settings)
                    states.save(state, STEP)
                    pause = time.perf_counter() - paused
            wait()
            spent[saved] = time.perf_counter() - started
        started = time.perf_counter()
        states.wait()
        rest = time.perf_counter() - started
        size = next(Path(folder).glob("step-*.pt")).stat().st_size
        lost = spent[True] - spent[False]
        epoch = 150 * conditions.loop_ms / 1e3
        table.add("GB of a saved state", size / 1e9)
        table.add("s that a training stands still to be copied", pause)
        remark = f"over {count} steps; {rest:.1f} s of writing were left after them"
        table.add("s that a saved state costs in all", lost, remark)
        table.add("share of an epoch, saved after each, %", 100 * lost / epoch, "< 5 wanted")
        table.add("share of the time, saved every 10 minutes, %", 100 * lost / 600)
    started = time.perf_counter()
    measure_embeddings(method, source, settings, STEP, ALONE)
    wait()
    table.add("s of RankMe and monitors an epoch", time.perf_counter() - started)
    started = time.perf_counter()
    validate(method, source, settings, STEP, len(conditions.features), ALONE)
    wait()
    table.add("s of validation an epoch", time.perf_counter() - started)

import multiprocessing
import os
import random
import signal

from workflow_scripts.pretrain.engine.state import States
from workflow_scripts.pretrain.methods.desd import Distillation

KILLS = 10
PATIENCE_S = 120


def train_telling(run_rule, state, told):
    """Run the training, writing into a pipe as each step and each save of the state begins."""

    def telling(owner, name):
        original = getattr(owner, name)

        def method(self, *arguments):
            told.send(name)
            return original(self, *arguments)

        setattr(owner, name, method)

    telling(Distillation, "step")
    telling(States, "save")
    run_rule("killed", state=state, epochs=KILLS)
    told.send("end")


def kill_at(number, *arguments):
    """Start a training and end it by SIGKILL in one of its steps or saves (counted from 1); return what it was in."""
    # Forked, so that a restart does not pay for importing torch; nothing of the killed process is used again.
    context = multiprocessing.get_context("fork")
    listening, telling = context.Pipe(duplex=False)
    process = context.Process(target=train_telling, args=(*arguments, telling))
    process.start()
    try:
        for _ in range(number):
            assert listening.poll(PATIENCE_S)
            running = listening.recv()
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    assert process.exitcode == -signal.SIGKILL
    return running


def test_ten_kills_at_random_steps_change_no_bit_of_the_result(run_rule, tmp_path):
    undisturbed = run_rule("undisturbed", epochs=KILLS)
    rng = random.Random(2023)
    # An epoch has 4 steps and a save: an attempt passes one epoch at most, so all of them come before the last.
    killed = [kill_at(rng.randint(1, 8), run_rule, tmp_path / "state") for _ in range(KILLS)]
    assert set(killed) == {"step", "save"}
    survivor = run_rule("killed", state=tmp_path / "state", epochs=KILLS)
    assert (survivor / "encoder.pt").read_bytes() == (undisturbed / "encoder.pt").read_bytes()
    assert (survivor / "rankme.tsv").read_bytes() == (undisturbed / "rankme.tsv").read_bytes()

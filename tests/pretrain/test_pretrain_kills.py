import os
import random

from tests.kills import killed_in
from workflow_scripts.common.saved_states import States
from workflow_scripts.pretrain.methods.desd import Distillation

KILLS = int(os.environ.get("KILLS", "10"))
MOMENTS = {"step": (Distillation, "step"), "save": (States, "save")}


def test_kills_at_random_steps_change_no_bit_of_the_result(run_rule, tmp_path):
    undisturbed = run_rule("undisturbed", epochs=KILLS)
    rng = random.Random(2023)

    def train():
        run_rule("killed", state=tmp_path / "state", epochs=KILLS)

    # An epoch has 4 steps and a save: an attempt passes one epoch at most, so all of them come before the last.
    assert {killed_in(rng.randint(1, 8), MOMENTS, train) for _ in range(KILLS)} == {"step", "save"}
    survivor = run_rule("killed", state=tmp_path / "state", epochs=KILLS)
    assert (survivor / "encoder.pt").read_bytes() == (undisturbed / "encoder.pt").read_bytes()
    assert (survivor / "rankme.tsv").read_bytes() == (undisturbed / "rankme.tsv").read_bytes()

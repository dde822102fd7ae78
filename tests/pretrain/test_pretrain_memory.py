"""Memory that runs out, wherever it does, is told with its remedy."""

from tests.short_of_memory import messages

RULE = "workflow_scripts.pretrain.pretrain"
DESD = "workflow_scripts.pretrain.methods.desd:Distillation"
STEP = "A step of batch_size 4 needs more memory than the cpu has. Remedy: lower pretrain.patch_size or"
ANYWHERE = "More memory is needed than this process can get. Remedy: lower pretrain.batch_size or"
ON_GPU = "More memory is needed than the GPU has. Remedy: lower pretrain.batch_size or"
PLACES = {
    f"torch:{RULE}:open_cohort": ANYWHERE,
    f"torch:{DESD}.__init__": ANYWHERE,
    f"torch:{DESD}.step": STEP,
    f"numpy:{DESD}.inputs": ANYWHERE,
    f"torch:{DESD}.evaluate": ANYWHERE,
    f"torch:{DESD}.embed": ANYWHERE,
    f"gpu:{DESD}.measure": ON_GPU,
    "torch:workflow_scripts.pretrain.engine.loop:rankme": ANYWHERE,
    "numpy:workflow_scripts.common.saved_states:States.save": ANYWHERE,
    f"torch:{RULE}:save_encoder": ANYWHERE,
}


def test_lack_of_memory_is_told_wherever_it_shows(command_line):
    told = messages(RULE, command_line(epochs=1)[1], list(PLACES))
    for place, expected in PLACES.items():
        assert told[place].startswith(expected), place

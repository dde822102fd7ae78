from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from workflow_scripts.common.events import Events


def read(folder):
    events = EventAccumulator(str(folder / "events"))
    events.Reload()
    return {name: [(event.step, event.value) for event in events.Scalars(name)] for name in events.Tags()["scalars"]}


def test_each_epoch_is_shown_once_also_of_a_training_that_was_stopped(tmp_path):
    rows = [{"epoch": 0, "loss": 2.0, "dice": None}, {"epoch": 1, "loss": 1.0, "dice": 0.5}]
    with Events(tmp_path, []) as events:
        for row in rows:
            events.add(row)
    with Events(tmp_path, rows[:1]) as events:  # the state of the second epoch was not written any more
        events.add(rows[1])
    assert read(tmp_path) == {"loss": [(0, 2.0), (1, 1.0)], "dice": [(1, 0.5)]}

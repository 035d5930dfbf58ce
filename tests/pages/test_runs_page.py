"""The page Runs through AppTest: what its buttons and dialogs do to the runs, and what strangers' words do to the page."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core import runner
from core.config import RunConfig, read_config
from core.processes import ProcessId
from core.runner.device_lock import DeviceLock
from core.runs.notes import Notes, read_notes, write_notes
from core.runs.status import update_status
from core.runs.store import create_run, list_runs, read_run
from tests.pages.test_pages import opened, text_of


@pytest.fixture
def busy(lab_folders):
    """The CPU is taken: what is launched waits."""
    with DeviceLock(lab_folders.runs / ".slots", "cpu") as lock:
        assert lock.acquire()
        yield
        for run in list_runs(lab_folders.runs):
            if run.is_active:
                runner.stop(run.path)


@pytest.fixture
def failed(lab_folders, tiny_config: Callable[..., RunConfig]) -> Path:
    """A run that ran out of memory."""
    run = create_run(tiny_config(batch_size=8), lab_folders.runs)
    update_status(
        run,
        state="failed",
        error="Too large.",
        failure="memory",
        suggested_change={"training": {"batch_size": 4}},
        exit=42,
    )
    return run


def button(app: AppTest, label: str):
    (result,) = [each for each in app.button if each.label == label]
    return result


def test_a_failed_run_says_what_failed_and_is_tried_again_with_its_remedy(lab_folders, failed: Path, busy) -> None:
    app = opened("runs")
    assert ">out of memory<" in text_of(app)
    button(app, "Try again with batch size 4").click().run()
    assert not app.exception
    (new,) = [run for run in list_runs(lab_folders.runs) if run.path != failed]
    assert (new.config.training.batch_size, new.notes.parent, new.state) == (4, failed.name, "queued")
    assert sorted(app.multiselect[0].value) == sorted([failed.name, new.id]), "the new one is looked at"


def test_same_again_launches_a_run_with_what_the_dialog_changed(lab_folders, failed: Path, busy) -> None:
    app = opened("runs")
    button(app, "Same again").click().run()
    assert app.number_input(key=f"again-{failed.name}-batch_size").value == 8, "filled in from the run"
    app.number_input(key=f"again-{failed.name}-batch_size").set_value(3).run()
    app.number_input(key=f"again-{failed.name}-learning_rate").set_value(0.0005).run()
    app.button(key="start-again").click().run()
    assert not app.exception
    (new,) = [run for run in list_runs(lab_folders.runs) if run.path != failed]
    old = read_run(failed).config.training
    assert new.config.training == old.model_copy(update={"batch_size": 3, "learning_rate": 0.0005})
    assert "start-again" not in [each.key for each in app.button], "the dialog is closed"


def test_queued_runs_are_moved_paused_resumed_and_stopped(lab_folders, tiny_config, busy) -> None:
    first, second = (runner.launch(tiny_config(), lab_folders.runs) for _ in range(2))
    app = opened("runs")
    assert "waits for 1 run before it" in text_of(app)
    app.button(key=f"Up-{second.name}").click().run()
    assert runner.queue_position(read_run(first)) == 1
    app.button(key=f"pause-{first.name}").click().run()
    assert read_run(first).state == "paused"
    app.run()
    app.button(key=f"resume-{first.name}").click().run()
    assert read_run(first).state == "queued"
    app.run()
    app.button(key=f"stop-{second.name}").click().run()
    assert read_run(second).state == "stopped"


def test_a_running_run_is_asked_once_and_can_then_be_ended_now(lab_folders, tiny_config) -> None:
    run = create_run(tiny_config(), lab_folders.runs)
    update_status(run, state="running", trainer=ProcessId.of(os.getpid()))
    app = opened("runs")
    assert not [each for each in app.button if each.label == "End it now"]
    app.button(key=f"pause-{run.name}").click().run()
    app.run()
    assert app.button(key=f"stop-{run.name}").label == "Pausing after this step"
    assert app.button(key=f"stop-{run.name}").disabled
    assert button(app, "End it now")


def test_a_name_tags_and_a_note_are_given_in_a_dialog(lab_folders, failed: Path) -> None:
    app = opened("runs")
    app.button(key=f"notes-{failed.name}").click().run()
    app.text_input(key=f"name-{failed.name}").set_value("  Bigger  batch ").run()
    app.text_area(key=f"note-{failed.name}").set_value("Too big.").run()
    app.button(key="save-notes").click().run()
    assert not app.exception
    assert read_notes(failed) == Notes("Bigger batch", (), "Too big.")
    assert "Bigger batch" in text_of(app)


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "</article><img src=x onerror=alert(1)>"])
def test_what_people_write_into_notes_is_never_html(lab_folders, failed: Path, text: str) -> None:
    write_notes(failed, Notes(name=text, tags=(text[:25],), note=text))
    app = opened("runs")
    assert not app.exception
    html = "".join(element.proto.body for element in app.get("html"))
    assert "<script>alert" not in html and "<img src=x" not in html
    assert "&lt;" in html


def test_markdown_in_a_name_stays_as_it_is_typed(lab_folders, failed: Path) -> None:
    write_notes(failed, Notes(name="![x](http://example.org/x.png) **lr_1** :red[a]"))
    app = opened("runs")
    app.button(key=f"delete-{failed.name}").click().run()
    (shown,) = [element.value for element in app.markdown if "example" in element.value]
    assert "\\!\\[x\\]\\(http\\:" in shown and "\\*\\*lr\\_1\\*\\*" in shown and "\\:red\\[a\\]" in shown


def test_a_run_is_deleted_at_once_brought_back_restored_and_removed_for_good(lab_folders, failed: Path) -> None:
    app = opened("runs")
    app.button(key=f"delete-{failed.name}").click().run()
    assert not app.exception
    assert not failed.exists() and "No run yet" in text_of(app) and "Deleted:" in text_of(app)
    app.button(key="undo-delete").click().run()
    assert not app.exception
    assert failed.is_dir() and "No run yet" not in text_of(app) and "Deleted:" not in text_of(app)
    app.button(key=f"delete-{failed.name}").click().run()
    app.button(key=f"restore-{failed.name}").click().run()
    assert not app.exception
    assert failed.is_dir() and "Deleted:" not in text_of(app)
    runner.delete(failed)
    app = opened("runs")
    app.button(key="empty-trash").click().run()
    assert not app.exception
    assert runner.list_trash(lab_folders.runs) == []


def test_the_classes_of_a_curve_are_the_runs_own_from_the_first_moment(lab_folders, tiny_config, trained_run) -> None:
    run = create_run(tiny_config(dataset={"classes": "cityscapes-7"}), lab_folders.runs)
    app = opened("runs")
    assert offered_classes(app) == [], "before a plan nobody knows them"
    plan = json.loads((trained_run / "plan.json").read_text())
    plan |= {"classes": ["flat", "sky"], "colors": [[1, 2, 3], [4, 5, 6]]}
    (run / "plan.json").write_text(json.dumps(plan))
    assert offered_classes(app.run()) == ["flat", "sky"]
    shutil.copytree(trained_run, lab_folders.runs / trained_run.name)
    app = opened("runs")
    app.multiselect[0].set_value([trained_run.name, run.name]).run()
    assert offered_classes(app) == [], "one number means two things in two numberings"
    app.multiselect[0].set_value([trained_run.name]).run()
    assert offered_classes(app) == list(read_run(trained_run).class_names)


def offered_classes(app: AppTest) -> list[str]:
    (shown,) = [
        data
        for each in app.get("bidi_component")
        if "classes" in (data := json.loads(each.proto.json)) and "runs" in data
    ]
    return shown["classes"]


def test_many_runs_can_be_filtered_and_what_is_picked_stays(lab_folders, tiny_config, trained_run: Path) -> None:
    for _ in range(8):
        update_status(create_run(tiny_config(), lab_folders.runs), state="stopped")
    newest = list_runs(lab_folders.runs)[0]
    assert not [box for box in opened("runs").text_input if box.key == "filter"]
    shutil.copytree(trained_run, lab_folders.runs / trained_run.name)
    other = list_runs(lab_folders.runs)[3]
    write_notes(other.path, replace(other.notes, tags=("night",)))
    app = opened("runs")
    (picked,) = app.multiselect[0].value
    assert len(app.multiselect[0].options) == 9
    app.text_input(key="filter").set_value("#night stopped").run()
    assert not app.exception
    assert "1 of 9 runs" in text_of(app)
    assert len(app.multiselect[0].options) == len({other.id, picked})
    assert app.multiselect[0].value == [picked]
    assert newest.id in {run.id for run in list_runs(lab_folders.runs)}


def test_where_several_are_chosen_the_settings_in_which_they_differ_are_shown(lab_folders) -> None:
    runs = [create_run(read_config({"training": {"batch_size": size, "seed": 3}}), lab_folders.runs) for size in (2, 4)]
    for run in runs:
        update_status(run, state="stopped")
    app = opened("runs")
    app.multiselect[0].set_value([run.name for run in runs]).run()
    assert not app.exception
    tables = [each.proto.body for each in app.get("html") if "Batch size" in each.proto.body]
    assert len(tables) == 1 and "Seed" not in tables[0]


def test_a_run_is_repeated_with_other_seeds_and_the_card_says_what_is_chance(lab_folders, trained_run, busy) -> None:
    shutil.copytree(trained_run, lab_folders.runs / trained_run.name)
    app = opened("runs")
    assert "with one seed" in text_of(app)
    button(app, "Train 2 more runs").click().run()
    assert not app.exception
    seeds = {run.config.training.seed for run in list_runs(lab_folders.runs)}
    assert seeds == {0, 1, 2} and len(app.multiselect[0].value) == 3, "the new ones are looked at"
    for run in list_runs(lab_folders.runs):
        if run.is_active:
            runner.stop(run.path)
            shutil.copy(trained_run / "metrics.jsonl", run.path)
            shutil.copy(trained_run / "plan.json", run.path)
            update_status(run.path, state="finished")
    assert "± 0.0 % over 3 seeds" in text_of(app.run()), "three runs of the same score"


def test_chosen_runs_are_averaged_into_one_that_is_looked_at(lab_folders, trained_run) -> None:
    ids = [trained_run.name, f"{trained_run.name[:-4]}beef"]
    for name in ids:
        shutil.copytree(trained_run, lab_folders.runs / name)
    app = opened("runs")
    app.multiselect[0].set_value(ids).run()
    button(app, "Average what they see").click().run()
    assert not app.exception and not app.error
    (new,) = [run for run in list_runs(lab_folders.runs) if run.id not in ids]
    assert new.title == "Ensemble of 2" and new.id in app.multiselect[0].value
    assert not [each for each in app.button if each.key == f"again-{new.id}"], "it isn't trained"

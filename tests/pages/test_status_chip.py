"""What stands in the corner of every page while something trains, and the table of all runs."""

import shutil
from pathlib import Path
from types import SimpleNamespace

from app.status_chip import status_text
from tests.pages.test_pages import opened


def run_of(state: str, step: int = 5, seconds_left: float | None = 65.0) -> SimpleNamespace:
    status = SimpleNamespace(step=step, steps_total=10, seconds_left=seconds_left, phase="training")
    return SimpleNamespace(state=state, title="ViT · ViT-S/14", status=status)


def test_the_corner_says_how_far_how_long_and_how_many_wait() -> None:
    assert status_text([run_of("running"), run_of("queued")]) == "ViT 50%, 1 min 05 s left, 1 waiting"
    assert status_text([run_of("running", 0, None)]) == "ViT 0%"
    assert status_text([run_of("running"), run_of("running")]) == "2 runs"
    assert status_text([run_of("queued")]) == "1 waiting"


def test_the_table_of_runs_says_each_ones_score_and_several_are_deleted_at_once(lab_folders, trained_run: Path) -> None:
    ids = [trained_run.name, f"{trained_run.name[:-4]}0000"]
    for run_id in ids:
        shutil.copytree(trained_run, lab_folders.runs / run_id)
    app = opened("runs")
    table = app.dataframe[0].value
    assert sorted(table["id"]) == sorted(run_id[-4:] for run_id in ids) and (table["score"] > 0).all()
    app.multiselect[0].set_value(ids).run()
    app.button(key="delete-chosen").click().run()
    assert not app.exception
    assert not [run_id for run_id in ids if (lab_folders.runs / run_id).is_dir()]

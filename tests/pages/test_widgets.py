"""What a page says of a failure: word for word, whoever typed a part of it."""

import ast
import os
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from app.widgets import short_names
from core.escaping import escape_markdown
from core.jobs import engine
from core.jobs.engine import Job
from core.jobs.kinds import jobs_folder
from core.processes import ProcessId
from core.runs.notes import Notes, write_notes
from core.runs.status import Status
from core.runs.store import Run, create_run

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = "'/data/[all scores](https://evil.example/)' **can't** be ![x](https://evil.example/x.png) www.evil.example."


def test_a_sentence_of_an_error_is_shown_as_it_is() -> None:
    def page(sentence):
        from app.widgets import failed_state
        from core.errors import LabError

        failed_state(LabError(sentence))
        failed_state(sentence)

    app = AppTest.from_function(page, kwargs={"sentence": HOSTILE}).run()
    assert [error.value for error in app.error] == [escape_markdown(HOSTILE)] * 2


def test_nothing_is_escaped_before_it_is_said() -> None:
    twice = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in [*(ROOT / "app").rglob("*.py"), *(ROOT / "pages").glob("*.py")]
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) == "failed_state"
        and "escape_markdown(" in ast.unparse(call.args[0])
    ]
    assert not twice


def test_what_a_scoring_says_of_a_run_holds_no_link(lab_folders, tiny_config, monkeypatch) -> None:
    def page():
        from app.scoring import work_panel
        from core.paths import runs_folder
        from core.runs.store import list_runs

        work_panel({run.id: run for run in list_runs(runs_folder())})

    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    run = create_run(tiny_config(), lab_folders.runs)
    write_notes(run, Notes(name="[mine](https://evil.example)"))
    jobs_folder("evaluation").mkdir(parents=True)
    ended = {"started": time.time(), "updated": time.time()}
    problems = {"problems": {run.name: HOSTILE}}
    for values in (
        {"state": "failed", "error": HOSTILE},
        {"state": "finished", "result": problems},
        {"state": "stopped"},
        {"state": "running", "process": ProcessId.of(os.getpid())},
    ):
        engine._write(jobs_folder("evaluation"), Job("20260101-000000-aaaa", {"runs": [run.name]}, **ended, **values))
        app = AppTest.from_function(page).run()
        assert not app.exception
        (message,) = [element.value for kind in (app.error, app.info, app.caption) for element in kind]
        assert "\\[mine\\]\\(https\\:" in message and "\\\\" not in message, values
        assert "[all" not in message.replace("\\[", ""), values


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["FCN-8s · ResNet"], ["FCN-8s · ResNet"]),
        (["FCN-8s · ResNet", "U-Net · ResNet"], ["FCN-8s", "U-Net"]),
        (["U-Net · ResNet", "U-Net · plain"], ["ResNet", "plain"]),
        (["U-Net · ResNet", "U-Net · ResNet"], ["U-Net · 0000", "U-Net · 0001"]),
        (
            [f"A very long name of a night of trials {number}" for number in (1, 2, 31)],
            ["… 1", "… 2", "… 31"],
        ),
        (["The same long name for both"] * 2, ["… 0000", "… 0001"]),
        (["trial 1", "trial 2"], ["trial 1", "trial 2"]),
        (["A long name that goes on", "A long name that goes"], ["… goes on", "… goes"]),
    ],
)
def test_names_that_stand_together_are_as_short_as_they_can_be_told_apart(names, short):
    runs = [
        Run(Path(f"20260101-000000-fcn-{number:04d}"), Status("finished", 0.0), notes=Notes(name=name))
        for number, name in enumerate(names)
    ]
    assert list(short_names(runs).values()) == short

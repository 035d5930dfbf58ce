"""The run folder: written whole, read whatever it looks like."""

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from core.errors import LabError
from core.paths import PROJECT
from core.processes import ProcessId
from core.runs.metrics_log import MetricsLog, evaluations, read_metrics, valid_rows
from core.runs.notes import RUN_ID, Notes, read_notes, write_notes
from core.runs.status import read_status, request_pause, request_stop, requested, update_status, write_status
from core.runs.store import create_run, find_run, list_active, list_runs, read_run


@pytest.fixture
def run(tmp_path, tiny_config):
    return create_run(tiny_config(), tmp_path)


@pytest.fixture
def dead():
    """A process that has ended and was waited for: nobody has its number."""
    process = subprocess.Popen(["sleep", "60"])
    identity = ProcessId.of(process.pid)
    process.kill()
    process.wait()
    return identity


def with_status(run, **changes):
    write_status(run, replace(read_status(run), **changes))
    return read_run(run)


# ---- making and finding


def test_a_new_run_is_queued_and_keeps_its_config(run, tiny_config):
    result = read_run(run)
    assert RUN_ID.fullmatch(run.name)
    assert (result.state, result.problem, result.config) == ("queued", None, tiny_config())
    assert result.status.created == result.status.ticket == pytest.approx(time.time(), abs=20)
    assert sorted(path.name for path in run.iterdir()) == ["config.json", "status.json"]


def test_a_run_folder_appears_whole(tmp_path, tiny_config):
    seen, done = [], threading.Event()

    def watch():
        while not done.is_set():
            seen.extend(run.problem for run in list_runs(tmp_path))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(30):
            create_run(tiny_config(), tmp_path)
    finally:
        done.set()
        watcher.join()
    assert seen and not any(seen)
    assert len(list_runs(tmp_path)) == 30


def test_two_runs_of_one_second_that_draw_the_same_letters_are_two(tmp_path, tiny_config, monkeypatch):
    drawn = iter(["beef", "beef", "cafe"])
    monkeypatch.setattr("core.runs.store.secrets.token_hex", lambda size: next(drawn) if size == 2 else "draft")
    monkeypatch.setattr("core.runs.store.time.time", lambda: 1.8e9)
    assert [create_run(tiny_config(), tmp_path).name[-4:] for _ in range(2)] == ["beef", "cafe"]


def test_runs_are_listed_newest_first_and_other_things_not_at_all(tmp_path, tiny_config):
    for name in ("20250101-000000-fcn-0001", "20260101-000000-vit-0002", "20250601-000000-unet-0003"):
        create_run(tiny_config(), tmp_path).rename(tmp_path / name)
    (tmp_path / "README.md").write_text("")
    (tmp_path / ".slots").mkdir()
    (tmp_path / ".20250101-000000-fcn-0009").mkdir()
    (tmp_path / "20250101-000000-fcn-0004").write_text("a file")
    (tmp_path / "20250101-000000-fcn-0005").symlink_to(tmp_path / "20250101-000000-fcn-0001")
    assert [run.id for run in list_runs(tmp_path)] == [
        "20260101-000000-vit-0002",
        "20250601-000000-unet-0003",
        "20250101-000000-fcn-0001",
    ]
    assert list_runs(tmp_path / "nothing") == []


def test_a_run_is_found_by_any_part_of_its_id(tmp_path, tiny_config):
    names = ["20250101-000000-fcn-00a1", "20250101-000000-vit-00b2"]
    for name in names:
        create_run(tiny_config(), tmp_path).rename(tmp_path / name)
    for part in (names[0], "fcn", "00a1", "fcn-00a1", "20250101-000000-f", "a1"):
        assert find_run(part, tmp_path).id == names[0]
    with pytest.raises(LabError, match="any of 2 runs.*fcn-00a1"):
        find_run("20250101", tmp_path)
    with pytest.raises(LabError, match="no run 'unet'"):
        find_run("unet", tmp_path)


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "../runs", "/etc", "a/b", "a\0", "*", "~", "x" * 10_000, "-\n-", "٣", "\udcff", " ", "%2e%2e"],
)
def test_a_hostile_id_is_no_run(run, text):
    with pytest.raises(LabError) as caught:
        find_run(text, run.parent)
    assert len(str(caught.value)) < 500


def test_a_hostile_id_finds_nothing_outside(run, tmp_path_factory):
    inner = tmp_path_factory.mktemp("inner")
    for text in (f"../{run.parent.name}/{run.name}", str(run)):
        with pytest.raises(LabError, match="There is no run"):
            find_run(text, inner)


def test_names_in_any_script_survive_any_locale(tmp_path):
    program = """
import sys
from pathlib import Path
from core.config import read_config
from core.runs.store import create_run, read_run
config = read_config({"dataset": {"name": "cityscapes", "root": "/data/st\\u00e4dte/\\u6771\\u4eac"}})
assert read_run(create_run(config, Path(sys.argv[1]))).config == config
"""
    environment = os.environ | {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=PROJECT, env=environment, check=True)


# ---- status


def test_a_status_is_replaced_never_torn(run):
    stop = threading.Event()
    seen = []

    def read():
        while not stop.is_set():
            seen.append(read_status(run))

    reader = threading.Thread(target=read)
    reader.start()
    for step in range(300):
        update_status(run, step=step)
    stop.set()
    reader.join()
    assert None not in seen
    steps = [status.step for status in seen]
    assert steps == sorted(steps)
    assert not [path for path in run.iterdir() if path.name.startswith(".")], "nothing is left behind"


def test_an_update_keeps_the_rest(run):
    created = read_status(run).created
    update_status(run, state="running", step=7, trainer=ProcessId(123, 4.5))
    status = update_status(run, phase="scoring")
    assert read_status(run) == status
    assert (status.state, status.step, status.trainer, status.created) == ("running", 7, ProcessId(123, 4.5), created)


def test_a_status_of_a_later_version_is_read(run):
    values = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(values | {"mood": "good"}))
    assert read_run(run).problem is None


# ---- half-written folders

BROKEN_TEXTS = ["", "{", "null", "[]", "3", '"text"', "{}", '{"state": 1}', "\0\0\0", "\xff", "NaN"]
BROKEN_STATUS = [
    {"state": "dancing"},
    {"state": ["queued"]},
    {"state": "lost"},
    {"created": "yesterday"},
    {"created": None},
    {"ticket": None},
    {"ticket": "soon"},
    {"step": "many"},
    {"steps_total": [3]},
    {"trainer": 3},
    {"trainer": {"pid": "x"}},
    {"trainer": {"pid": 1}},
    {"trainer": {"pid": 1, "started": None}},
]


@pytest.mark.parametrize(
    ("name", "text"),
    [("status.json", text) for text in BROKEN_TEXTS] + [("config.json", text) for text in BROKEN_TEXTS if text != "{}"],
    ids=ascii,
)
def test_a_broken_file_is_a_problem_not_an_exception(run, name, text):
    (run / name).write_bytes(text.encode("latin-1"))
    (result,) = list_runs(run.parent)
    assert result.problem and result.problem.endswith(".")
    assert (result.config is None) == (name == "config.json")
    assert result.title and not result.has_checkpoint()


@pytest.mark.parametrize("values", BROKEN_STATUS, ids=str)
def test_a_status_of_wrong_kind_is_a_problem_not_an_exception(run, values):
    whole = json.loads((run / "status.json").read_text())
    (run / "status.json").write_text(json.dumps(whole | values))
    result = read_run(run)
    assert result.problem and result.state == "failed"
    assert result.status.created > 0, "its folder's name still tells when it was made"


def test_an_empty_folder_and_one_with_folders_for_files_are_problems(tmp_path):
    empty, strange = tmp_path / "20250101-000000-fcn-0001", tmp_path / "20250101-000000-fcn-0002"
    empty.mkdir()
    for name in ("config.json", "status.json", "plan.json", "metrics.jsonl", "request.json"):
        (strange / name).mkdir(parents=True)
    for run in list_runs(tmp_path):
        assert run.problem and run.state == "failed" and run.config is None
    assert read_metrics(strange) == ([], 0)


@pytest.mark.parametrize("text", BROKEN_TEXTS, ids=ascii)
def test_a_broken_plan_is_an_empty_one(run, text):
    (run / "plan.json").write_bytes(text.encode("latin-1"))
    assert read_run(run).plan in ({}, {"state": 1})


def test_a_config_of_another_version_says_what_it_has_too_much(run):
    values = json.loads((run / "config.json").read_text())
    values["training"]["warp"] = 9
    (run / "config.json").write_text(json.dumps(values))
    assert "'training.warp'" in read_run(run).problem


# ---- lost runs


def test_a_run_with_a_living_hand_is_running(run):
    me = ProcessId.of(os.getpid())
    assert with_status(run, state="running", trainer=me).state == "running"
    assert with_status(run, state="queued", supervisor=me, trainer=None).state == "queued"


def test_a_run_whose_process_is_gone_is_lost(run, dead):
    for state in ("running", "queued"):
        result = with_status(run, state=state, supervisor=dead, trainer=dead)
        assert result.state == "lost" and not result.is_active
    assert read_status(run).state == "queued", "lost is seen, never written"


def test_one_of_two_hands_is_enough(run, dead):
    me = ProcessId.of(os.getpid())
    assert with_status(run, state="running", supervisor=dead, trainer=me).state == "running"
    assert with_status(run, state="running", supervisor=me, trainer=dead).state == "running"


def test_another_process_with_the_same_number_is_not_the_trainer(run):
    me = ProcessId.of(os.getpid())
    result = with_status(run, state="running", trainer=ProcessId(me.pid, me.started - 100))
    assert result.state == "lost"


def test_a_zombie_is_not_the_trainer(run, wait_until):
    process = subprocess.Popen(["sleep", "60"])
    try:
        identity = ProcessId.of(process.pid)
        assert with_status(run, state="running", trainer=identity).state == "running"
        process.kill()
        wait_until(lambda: read_run(run).state == "lost", 10)
    finally:
        process.wait()


@pytest.mark.parametrize("pid", [-1, 0, 2**31, 2**40, 10**30])
def test_an_impossible_pid_is_nobody(run, pid):
    assert with_status(run, state="running", trainer=ProcessId(pid, 1.0)).state == "lost"


def test_a_queued_run_without_a_supervisor_gets_some_seconds(run):
    assert read_run(run).state == "queued"
    assert with_status(run, ticket=time.time() - 60).state == "queued", "an early ticket is no late launch"
    assert with_status(run, updated=time.time() - 60).state == "lost"


@pytest.mark.parametrize("state", ["stopped", "finished", "failed", "paused"])
def test_a_run_that_has_ended_stays_as_it_was_written(run, dead, state):
    assert with_status(run, state=state, supervisor=dead, trainer=dead).state == state


def test_what_is_asked_of_a_run_is_seen(run):
    assert requested(run) is None
    request_pause(run)
    assert requested(run) == "pause"
    request_stop(run)
    assert requested(run) == "stop"


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"action": "dance"}', "\xff"])
def test_a_request_that_cannot_be_read_is_one_to_stop(run, text):
    (run / "request.json").write_bytes(text.encode("latin-1"))
    assert requested(run) == "stop"


# ---- notes


def test_notes_come_back_tidied(run):
    assert read_run(run).notes == Notes() and read_run(run).name == read_run(run).title
    parent = "20250101-000000-fcn-00a1"
    write_notes(run, Notes(" my\n first  run\0", ("night", " night", "", "two words"), " a\nb ", parent))
    assert read_notes(run) == Notes("my first run", ("night", "two words"), "a\nb", parent)
    assert read_run(run).name == "my first run"
    for text in ("", "FIRST", "#night run", "U-Net queued", run.name):
        assert read_run(run).matches(text)
    assert not read_run(run).matches("first day")


@pytest.mark.parametrize(
    ("notes", "text"),
    [
        (Notes(name="x" * 81), "name has 81 characters, but at most 80"),
        (Notes(tags=("x" * 31,)), "tag has 31 characters"),
        (Notes(tags=tuple(map(str, range(21)))), "21 tags"),
        (Notes(note="x" * 5001), "note has 5001 characters"),
    ],
)
def test_notes_that_are_too_long_are_refused_and_nothing_is_written(run, notes, text):
    with pytest.raises(LabError, match=text):
        write_notes(run, notes)
    assert not (run / "notes.json").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        '{"name": 3}',
        '{"tags": "x"}',
        '{"name": "%s"}' % ("x" * 81),
        '{"note": "%s"}' % ("x" * 10**6),
    ],
    ids=range(8),
)
def test_notes_that_the_lab_would_not_have_written_are_none(run, text):
    (run / "notes.json").write_text(text)
    assert read_run(run).notes == Notes() and read_run(run).problem is None


def test_the_bin_is_not_listed(run):
    (run.parent / ".trash").mkdir()
    run.rename(run.parent / ".trash" / run.name)
    assert list_runs(run.parent) == [] == list_active(run.parent)


def test_only_active_runs_are_listed_as_active(run, tiny_config):
    update_status(create_run(tiny_config(), run.parent), state="finished")
    assert [result.path for result in list_active(run.parent)] == [run]


# ---- metrics


def append(run, *rows):
    log = MetricsLog(run)
    for row in rows:
        log.append(row)
    log.close()


def train_row(step):
    return {"kind": "train", "step": step, "loss": 1 / step}


def test_rows_come_back_from_any_offset(run):
    assert read_metrics(run) == ([], 0)
    append(run, train_row(1), train_row(2))
    rows, offset = read_metrics(run)
    assert rows == [train_row(1), train_row(2)]
    assert offset == (run / "metrics.jsonl").stat().st_size
    assert read_metrics(run, offset) == ([], offset)
    append(run, train_row(3))
    assert read_metrics(run, offset)[0] == [train_row(3)]
    for strange in (-5, 10**9):
        read_metrics(run, strange)
    assert read_metrics(run, -5)[0] == [train_row(1), train_row(2), train_row(3)]


def test_a_torn_tail_is_not_a_row_until_its_newline_is_there(run):
    append(run, train_row(1))
    whole = (run / "metrics.jsonl").read_bytes()
    line = json.dumps(train_row(2)).encode() + b"\n"
    for cut in range(len(line)):
        (run / "metrics.jsonl").write_bytes(whole + line[:cut])
        assert read_metrics(run) == ([train_row(1)], len(whole))
    (run / "metrics.jsonl").write_bytes(whole + line)
    assert read_metrics(run, len(whole))[0] == [train_row(2)]


@pytest.mark.parametrize("rows", [0, 1, 200])
@pytest.mark.parametrize("tail", [b"", b"{", b'{"step": 2, "kind"', b"x" * 10_000])
def test_a_torn_tail_is_cut_before_the_next_row(run, rows, tail):
    written = [train_row(step + 1) for step in range(rows)]
    append(run, *written)
    with open(run / "metrics.jsonl", "ab") as file:
        file.write(tail)
    append(run, train_row(999))
    assert read_metrics(run)[0] == [*written, train_row(999)]


def test_lines_that_are_no_rows_are_passed_over(run):
    (run / "metrics.jsonl").write_bytes(b'hello\n[]\n3\n{"step": "x"}\n{}\n\n{"kind": "train", "step": 1}\n\xff\xfe\n')
    assert read_metrics(run)[0] == [{"kind": "train", "step": 1}]


def test_a_value_that_is_no_number_becomes_null(run):
    append(run, {"kind": "train", "step": 1, "loss": float("nan"), "rate": float("inf"), "list": [1.0, None]})
    assert read_metrics(run)[0] == [{"kind": "train", "step": 1, "loss": None, "rate": None, "list": [1.0, None]}]


def test_a_resume_makes_later_rows_void():
    first = [train_row(step) for step in (1, 2, 3, 4)] + [{"kind": "eval", "step": 4}]
    again = [{"kind": "resume", "step": 2}, train_row(3), train_row(4), {"kind": "eval", "step": 4, "miou": 1}]
    assert valid_rows(first + again) == [train_row(1), train_row(2), *again[1:]]
    assert valid_rows(first + [{"kind": "resume", "step": 0}]) == []


def test_evaluations_are_those_that_count(run):
    append(
        run,
        {"kind": "eval", "step": 4, "miou": 0.1},
        {"kind": "resume", "step": 2},
        {"kind": "eval", "step": 4, "miou": 0.2},
    )
    assert [row["miou"] for row in evaluations(run)] == [0.2]

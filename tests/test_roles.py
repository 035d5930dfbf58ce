"""Who may do what: every action of core as each person, beside the table of docs/security.md."""

import ast
import io
import re
import zipfile
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

from core import auth, runner, synthetic
from core.__main__ import _parser
from core.auth import ANONYMOUS, build_user, set_current_user
from core.config import DatasetConfig
from core.data.cache import remove_caches
from core.data.class_table import save_class_table
from core.data.collections import delete_collection, save_collection
from core.data.download import FINE
from core.data.download_job import start_download
from core.data.joint_list import write_list
from core.data.preparation import start_preparation
from core.data.unpacking_job import start_unpacking
from core.data.uploaded_archive import delete_archive, unpack_archive
from core.errors import LabError
from core.evaluation import evaluate_run as scoring
from core.evaluation.job import start_evaluation, start_submission
from core.evaluation.make_submission import make_submission
from core.evaluation.results import EvaluationSettings
from core.evaluation.soup import make_soup
from core.evaluation.soup_job import start_soup
from core.export import job as export_job
from core.hub import pull as pulling
from core.hub import push as pushing
from core.hub.job import start_pull, start_push
from core.inference.pseudo_label_job import start_pseudo_labels
from core.jobs import engine, kinds
from core.jobs.kinds import JOBS
from core.labelling.label_set import create_label_set, list_label_sets
from core.labelling.label_set_job import start_label_set
from core.labelling.masks import change_mask, read_mask, restore_mask
from core.models.mobile_sam_job import start_mobile_sam
from core.paths import PROJECT, cache_folder, data_folder, reports_folder
from core.report.job import start_report
from core.report.saved_reports import FILES, SavedReport, delete_report, new_id, shelve
from core.report.settings import ReportSettings
from core.runner import local
from core.runs.ensembles import make_ensemble
from core.runs.notes import Notes, write_notes
from core.runs.status import update_status
from core.runs.store import create_run, read_run
from core.sweeps import delete_sweep, read_spec, resume_sweep, start_sweep, stop_sweep
from core.sweeps import sweep as sweep_module
from core.training.probe import probe_process
from core.training.probe.job import start_dry_run, start_lr_finder

ANN, BOB, EVE = (f"{name}@x.org" for name in ("ann", "bob", "eve"))
REFUSED = re.compile("read-only|belongs to|Only an admin|You are not signed in")
RIGHTS = {"require_write", "require_owner", "require_admin", "may_change"}
TABLE = '[{"name": "ground", "ids": [0]}, {"name": "thing", "ids": [1]}]'


class Lab:
    """A lab in which no process is started. `person` asks from now on; all that is made before is Ann's."""

    def __init__(self, folders, config):
        self.runs, self.config = folders.runs, config
        self.person(ANN)

    def person(self, name):
        user = build_user(name) if name else ANONYMOUS
        set_current_user(lambda: user)

    def run(self, state="stopped", ticket=0.0):
        path = create_run(self.config(), self.runs)
        update_status(path, state=state, ticket=ticket)
        return path

    def spec(self):
        return read_spec({"base": self.config().model_dump(), "vary": {"training.seed": [1, 2]}})

    def sweep(self, state="running"):
        path = start_sweep(self.spec(), self.runs)
        sweep_module.update_status(path, state=state)
        return path


@pytest.fixture
def lab(lab_folders, streets, tiny_config, monkeypatch, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "streets").symlink_to(streets)
    for name, value in (
        ("SEGLAB_DATA", data),
        ("SEGLAB_DATA_ROOTS", f"{data}:{streets}"),
        ("SEGLAB_CACHE", tmp_path / "cache"),
        ("SEGLAB_REPORTS", tmp_path / "reports"),
        ("SEGLAB_ADMINS", EVE),
    ):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(local, "start", lambda path: None)
    monkeypatch.setattr(sweep_module, "_start_driver", lambda path: None)
    monkeypatch.setattr(engine, "start_detached", lambda *_: SimpleNamespace(stdin=io.BytesIO()))
    monkeypatch.setattr(engine, "available_cores", lambda: 99)
    monkeypatch.setattr(export_job, "check_exportable", lambda run, format: None)
    monkeypatch.setattr(probe_process, "_run_probe", lambda *_: iter([{}]))
    monkeypatch.setattr(pulling, "fetch_listing", lambda *_: refuse("no Hub here"))
    monkeypatch.setattr(pushing, "get_token", lambda: "")
    monkeypatch.setattr(scoring, "_set_up", lambda *_: NoNetwork())
    monkeypatch.setattr(synthetic, "write_streets", lambda *_: None)
    yield Lab(lab_folders, tiny_config)
    set_current_user(auth.shell_user)


class NoNetwork:
    """Stands for a run that is set up to be scored, as far as rights are asked for."""

    key = "x"

    def __getattr__(self, name):
        refuse("no network here")


def refuse(sentence):
    raise LabError(sentence)


def gets_to(sentence, call):
    """Do what ends with a sentence that has nothing to do with rights, as nothing is trained here."""
    try:
        call()
    except LabError as error:
        if sentence not in str(error):
            raise


def command(*words):
    options = _parser().parse_args(words)
    return options.command(options)


def archive():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as packed:
        packed.writestr("set/images/0.png", b"")
        packed.writestr("set/.owner.txt", BOB)
        packed.writestr(".owner.txt", BOB)
    data.seek(0)
    return data


def folder_of_nobody(with_table=False):
    root = data_folder() / "shared"
    root.mkdir()
    if with_table:
        (root / "classes.json").write_text(TABLE)
    return root


# ---- what Ann makes, and then what is tried


def launch(lab):
    return lambda: runner.launch(lab.config(), lab.runs)


def clone(lab):
    path = lab.run()
    return lambda: runner.clone(path, {})


def cross_validate(lab):
    path = lab.run()
    return lambda: runner.cross_validate(path, 2)


def repeat(lab):
    path = lab.run()
    return lambda: runner.repeat(path, 1)


def clone_with_tracker(lab):
    path = lab.run()
    return lambda: runner.clone(path, {"tracking": {"mlflow": True}})


def probe(lab):
    return lambda: list(probe_process.run_probe("x", lab.config(), 1))


def on_run(act, state="stopped"):
    def action(lab):
        path = lab.run(state)
        return lambda: act(path)

    return action


def move(lab):
    lab.run("queued", 1.0)
    second = lab.run("queued", 2.0)
    return lambda: runner.move(second, -1)


def move_past(lab):
    lab.person(BOB)
    lab.run("queued", 1.0)
    lab.person(ANN)
    second = lab.run("queued", 2.0)
    return lambda: runner.move(second, -1)


def move_data(path):
    gets_to("learned on generated streets", lambda: runner.move_data(path, "/x"))


def restore(lab):
    path = lab.run()
    runner.delete(path)
    return lambda: runner.restore(path.name, lab.runs)


def empty_trash(lab):
    runner.delete(lab.run())
    return lambda: bool(runner.empty_trash(lab.runs))


def begin_sweep(lab):
    return lambda: start_sweep(lab.spec(), lab.runs)


def on_sweep(act, state="running"):
    def action(lab):
        path = lab.sweep(state)
        return lambda: act(path)

    return action


def stop_jobs(lab):
    folders = {kind: lab.runs / kind if JOBS[kind].in_run_folder else None for kind in JOBS}
    jobs = {}
    for kind, folder in folders.items():
        set_current_user(lambda: auth.User(ANN, ANN, is_admin=True))  # who has any number at a time
        jobs[kind] = kinds.start(kind, {}, folder)

    def stop():
        refusals = []
        for kind, folder in folders.items():
            try:
                kinds.stop(kind, jobs[kind], folder)
            except LabError as error:
                refusals.append(error)
        assert len(refusals) in (0, len(JOBS))
        if refusals:
            raise refusals[0]

    return stop


def evaluate(lab):
    path = lab.run()
    return lambda: gets_to("no network here", lambda: scoring.evaluate_run(read_run(path), EvaluationSettings()))


def evaluate_robustness(lab):
    path = lab.run()
    return lambda: gets_to("no network here", lambda: scoring.evaluate_robustness(read_run(path), EvaluationSettings()))


def remove_report(lab):
    path = reports_folder() / new_id()
    path.mkdir(parents=True)
    for name in FILES:
        (path / name).touch()
    shelve(SavedReport(path, "A report", 0.0, ReportSettings(("x",)), ()))
    return lambda: delete_report(path.name)


def save(lab):
    return lambda: save_collection("Hackney", [("one", np.zeros((8, 8, 3), np.uint8))])


def remove_collection(lab):
    save(lab)()
    return lambda: delete_collection("hackney")


def join(lab):
    roots = [data_folder() / "one", data_folder() / "two"]
    for root in roots:
        root.mkdir()
    return lambda: write_list("both", roots)


def remove_archive(lab):
    root = unpack_archive("mine.zip", archive())
    return lambda: delete_archive(root / "set")


def table_of_archive(lab):
    root = unpack_archive("mine.zip", archive())
    return lambda: [save_class_table(folder, TABLE) for folder in (root / "set", root)]


def first_table(lab):
    root = folder_of_nobody()
    return lambda: save_class_table(root, TABLE)


def other_table(lab):
    root = folder_of_nobody(with_table=True)
    return lambda: save_class_table(root, TABLE)


def build_cache(lab):
    return lambda: command("cache", "build", "--dataset.name", "streets", "--json")


def remove_cache(keys):
    def action(lab):
        (cache_folder() / "frames" / "abc").mkdir(parents=True)
        return lambda: remove_caches(keys)

    return action


def new_label_set():
    return create_label_set("Mine", [("a", lambda: np.zeros((8, 8, 3), np.uint8))], ("road", "sky"))


def paint(lab):
    label_set = new_label_set()
    (frame,) = label_set.images
    stroke = {"id": "0" * 8, "box": [0, 0, 1, 1], "runs": [1, 0]}
    return lambda: change_mask(label_set, frame, stroke, read_mask(label_set, frame).revision)


def bring_back(lab):
    paint(lab)()
    (label_set,) = list_label_sets()
    (frame,) = label_set.images
    return lambda: restore_mask(label_set, frame, 0)


SETTINGS = EvaluationSettings()
ACTIONS = {
    "Train a run": launch,
    "Train the same as a run again": clone,
    "Train a run again with other seeds": repeat,
    "Train a run again in folds": cross_validate,
    "Put runs together as one": on_run(
        lambda path: gets_to("two runs or more", lambda: make_ensemble([read_run(path)], path.parent))
    ),
    "Average the weights of runs": on_run(
        lambda path: gets_to("two runs or more", lambda: make_soup([read_run(path)], path.parent))
    ),
    "Train a run that tells MLflow or Weights & Biases": clone_with_tracker,
    "Dry run, learning-rate test": probe,
    "Resume a run": on_run(runner.resume),
    "Stop a run": on_run(runner.stop, "queued"),
    "Stop a run at once": on_run(runner.stop_now, "queued"),
    "Pause a run": on_run(runner.pause, "queued"),
    "Move a run in the queue": move,
    "Move a run past one of somebody else": move_past,
    "Name, tag or note a run": on_run(lambda path: write_notes(path, Notes(name="good"))),
    "Say where a run's data lie now": on_run(move_data),
    "Delete a run": on_run(runner.delete),
    "Restore a run": restore,
    "Empty the trash of a run": empty_trash,
    "Start a sweep": begin_sweep,
    "Stop a sweep": on_sweep(stop_sweep),
    "Resume a sweep": on_sweep(resume_sweep, "stopped"),
    "Delete a sweep": on_sweep(delete_sweep, "stopped"),
    "Job `report`: write a report of a run": on_run(lambda path: start_report(ReportSettings((path.name,)))),
    "Job `evaluation`: score a run": on_run(lambda path: start_evaluation([path.name], SETTINGS)),
    "Job `evaluation`: make a run's archive for the benchmark server": on_run(
        lambda path: start_submission(path.name, "val", SETTINGS)
    ),
    "Job `export`: make a run's file for other tools": on_run(
        lambda path: export_job.start_export(read_run(path), "onnx")
    ),
    "Job `data`: examine, count, decode or draw frames": lambda lab: lambda: start_preparation("draw", DatasetConfig()),
    "Job `unpack`: unpack a dropped archive of data": lambda lab: lambda: start_unpacking("mine.zip", archive()),
    "Job `pseudo-labels`: label photographs without masks": on_run(
        lambda path: start_pseudo_labels(path.name, DatasetConfig())
    ),
    "Job `label-set`: copy photographs to be labelled": lambda lab: (
        lambda: start_label_set("Mine", str(data_folder()), ["a", "b"])
    ),
    "Job `average`: average the weights of runs": on_run(lambda path: start_soup([path.name])),
    "Job `dry-run`: try what a training will take": lambda lab: lambda: start_dry_run([lab.config()]),
    "Job `lr-finder`: find a learning rate": lambda lab: lambda: start_lr_finder(lab.config()),
    "Job `download`: get Cityscapes": lambda lab: lambda: start_download(FINE, str(data_folder() / "cs"), "me", "x"),
    "Job `pull`: bring a run from the Hub": lambda lab: lambda: start_pull("anna/street"),
    "Job `mobile-sam`: get MobileSAM from the Hub": lambda lab: start_mobile_sam,
    "Job `push`: share a run on the Hub": on_run(
        lambda path: start_push(read_run(path), "anna/street", public=False, own_images=False)
    ),
    "Stop a job, of any kind": stop_jobs,
    "Score a run at the shell": evaluate,
    "Score a run under corruptions at the shell": evaluate_robustness,
    "Make a run's archive at the shell": on_run(
        lambda path: gets_to("no 'best' checkpoint", lambda: make_submission(read_run(path), "val"))
    ),
    "Bring a run from the Hub at the shell": lambda lab: (
        lambda: gets_to("no Hub here", lambda: pulling.pull("anna/street"))
    ),
    "Share a run on the Hub at the shell": on_run(
        lambda path: gets_to(
            "Nobody is logged in", lambda: pushing.push(read_run(path), "anna/street", False, False, lambda *_: None)
        )
    ),
    "Delete a report": remove_report,
    "Save a collection": save,
    "Delete a collection": remove_collection,
    "Make a label set": lambda lab: new_label_set,
    "Paint on a mask of a label set": paint,
    "Bring back an earlier mask of a label set": bring_back,
    "Unpack an archive of data": lambda lab: lambda: unpack_archive("mine.zip", archive()),
    "Delete an unpacked archive or a joint list": remove_archive,
    "Write a joint list": join,
    "Save the class table of an unpacked archive or a joint list": table_of_archive,
    "Save the first class table of a folder of nobody's": first_table,
    "Replace the class table of a folder of nobody's": other_table,
    "Keep decoded frames": build_cache,
    "Remove the decoded frames of one data set": remove_cache(["abc"]),
    "Remove all decoded frames at once": remove_cache(None),
    "Draw the street scenes": lambda lab: lambda: command("streets", "--json"),
}
"""What makes Ann's thing in a lab, and returns what is then tried with it."""
COLUMNS = {"owner": ANN, "another": BOB, "admin": EVE, "read-only lab": ANN, "not signed in": ""}


def documented():
    """The table of docs/security.md: an action's name to its whole first cell, and to what each column says."""
    text = (PROJECT / "docs/security.md").read_text(encoding="utf-8")
    head, _, *lines = text[text.index("| action |") :].split("\n\n")[0].splitlines()
    titles = [title.strip() for title in head.strip("| ").split("|")][1:]
    assert titles == list(COLUMNS)
    result = {}
    for line in lines:
        action, *cells = (cell.strip() for cell in line.strip("| ").split(" | "))
        assert len(cells) == len(titles) and {cell.split(",")[0] for cell in cells} <= {"yes", "no"}, line
        result[action.split(" (")[0]] = action, dict(zip(titles, cells, strict=True))
    return result


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("name", ACTIONS)
def test_who_may_do_it_is_as_the_table_says(lab, monkeypatch, name, column):
    attempt = ACTIONS[name](lab)
    lab.person(COLUMNS[column])
    if column == "read-only lab":
        monkeypatch.setenv("SEGLAB_READ_ONLY", "1")
    try:
        done = attempt() is not False
    except LabError as error:
        assert REFUSED.search(str(error)), error
        done = False
    assert done == documented()[name][1][column].startswith("yes")


@pytest.mark.parametrize("name", ACTIONS)
def test_an_admin_who_signed_in_does_in_a_read_only_lab_what_they_do_elsewhere(lab, monkeypatch, name):
    attempt = ACTIONS[name](lab)
    lab.person(EVE)
    monkeypatch.setenv("SEGLAB_READ_ONLY", "1")
    assert attempt() is not False


def test_every_row_has_an_action_and_every_action_a_row():
    assert list(documented()) == list(ACTIONS)


def named():
    """Every word in backticks in the first column."""
    return {word for action, _ in documented().values() for word in re.findall("`(.*?)`", action)}


def asking_functions():
    """Every public function of core that asks for a right, itself or by private ones of its module."""
    for path in (PROJECT / "core").rglob("*.py"):
        module = ".".join(path.relative_to(PROJECT).with_suffix("").parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        calls = {
            name: {
                getattr(call.func, "id", getattr(call.func, "attr", ""))
                for call in ast.walk(node)
                if isinstance(call, ast.Call)
            }
            for name, node in functions.items()
        }
        asking = {name for name in calls if calls[name] & RIGHTS}
        for _ in calls:
            private = {name for name in asking if name.startswith("_")}
            asking |= {name for name in calls if calls[name] & private}
        if module != "core.auth":
            yield from (f"{module}.{name}" for name in asking if not name.startswith("_"))


def test_every_function_of_core_that_asks_for_a_right_stands_in_a_row():
    asking = set(asking_functions())
    assert len(asking) > 30 and not asking - named()


def test_every_function_of_the_table_is_there():
    for name in named() - JOBS.keys():
        module, _, function = name.rpartition(".")
        assert callable(getattr(import_module(module), function)), name


def test_every_kind_of_job_stands_in_a_row():
    assert JOBS.keys() <= named()

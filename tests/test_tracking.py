"""Other trackers: every number arrives once, and whatever a tracker does, the training is as it would have been without it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from core.config import TrackingConfig, read_config
from core.errors import LabError
from core.paths import PROJECT
from core.processes import ProcessId
from core.runs.metrics_log import MetricsLog, read_metrics, valid_rows
from core.runs.status import update_status
from core.runs.store import create_run, read_run
from core.tracking.points import points_of
from core.tracking.tracker import TrackerError, check_trackers, read_progress
from core.training import __main__ as trainer
from core.training import loop
from tests.test_training import fingerprint, train_here

CLASSES = ("road", "sky")
ROWS = [
    {"kind": "train", "step": 1, "epoch": 1, "loss": 2.5, "learning_rate": 1e-3, "seconds_left": 9.0, "minutes": 0.5},
    {"kind": "train", "step": 2, "epoch": 1, "loss": None, "learning_rate": 2e-3, "seconds_left": 8.0, "minutes": 1.0},
    {"kind": "eval", "step": 2, "epoch": 1, "loss": 2.0, "miou": 0.4, "iou": [0.4, None], "predicted": [1, 0], "truth": [1, 0],
     "minutes": 1.1},
    {"kind": "diverged", "step": 2, "where": "nowhere"},
]  # fmt: skip


def test_a_row_becomes_its_numbers_under_names_that_say_where_they_are_from():
    first, second, scored = points_of(ROWS, CLASSES, started=1000.0)
    assert (first.kind, first.step, first.time) == ("train", 1, 1030.0)
    assert first.values == {"train/epoch": 1, "train/loss": 2.5, "train/learning_rate": 1e-3, "train/minutes": 0.5}
    assert "train/loss" not in second.values, "what is no number is left out"
    assert scored.values == {"val/epoch": 1, "val/loss": 2, "val/miou": 0.4, "val/iou/road": 0.4, "val/minutes": 1.1}


# ---- a run of 40 rows that grows, and is gone on with


@pytest.fixture
def run(lab_folders, tiny_config):
    """A stopped run with 20 train rows and 2 eval rows. Trackers are told of it by hand."""
    path = create_run(tiny_config(), lab_folders.runs)
    update_status(path, state="stopped", started=1_700_000_000.0)
    append(path, range(1, 21))
    return path


def append(run, steps, resumed_at=None):
    """Rows as a trainer writes them; each loss tells its step."""
    log = MetricsLog(run)
    if resumed_at is not None:
        log.append({"kind": "resume", "step": resumed_at})
    for step in steps:
        row = {"kind": "train", "step": step, "epoch": 1, "loss": 1 / step, "minutes": step / 60}
        log.append(row)
        if step % 10 == 0:
            log.append(row | {"kind": "eval", "miou": step / 100, "iou": [0.5] * 19})
    log.close()


def on_progress(run, tracker, patience=60.0, **environment):
    """Tells a tracker by hand; returns the exit code and what was said."""
    done = subprocess.run(
        [sys.executable, "-m", "core.tracking", str(run), tracker, f"--patience={patience}"],
        cwd=PROJECT, env=os.environ | environment, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert not done.stderr
    return done.returncode, done.stdout


def event_points(run):
    """What tensorboard's own reader finds: (name, step) to (time, value)."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(run / "tensorboard"), size_guidance={"tensors": 0, "scalars": 0}).Reload()
    result = {}
    for name in reader.Tags()["tensors"]:
        for event in reader.Tensors(name):
            assert (name, event.step) not in result, "no point is there twice"
            result[name, event.step] = (event.wall_time, event.tensor_proto.float_val[0])
    return result


def test_event_files_hold_every_point_once_also_of_a_run_that_was_gone_on_with(run):
    pytest.importorskip("tensorboard", reason="tensorboard is an extra (make extras)")
    for steps, resumed_at in ((range(0), None), (range(16, 31), 15)):
        if resumed_at:
            append(run, steps, resumed_at)
        assert on_progress(run, "tensorboard")[0] == 0
        result = event_points(run)
        expected = {
            (name, point.step): (point.time, value)
            for point in points_of(valid_rows(read_metrics(run)[0]), read_run(run).class_names, 1_700_000_000.0)
            for name, value in point.values.items()
        }
        assert result.keys() == expected.keys() and len(result) > 100
        assert all(result[key] == pytest.approx(expected[key], rel=1e-6) for key in expected)


class StandIn(ThreadingHTTPServer):
    """Answers as an MLflow server does where the lab asks it, and writes down what it was told; `manner` may change that."""

    daemon_threads = True

    def __init__(self, manner="good", port=0):
        super().__init__(("127.0.0.1", port), Handler)
        self.manner = manner
        self.requests = threading.Event()
        self.runs, self.batches, self.experiments, self.ends = {}, [], {}, []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def uri(self):
        return f"http://127.0.0.1:{self.server_port}"

    def metrics(self):
        return [
            (each["key"], each["step"], each["value"]) for batch in self.batches for each in batch.get("metrics", [])
        ]

    def die(self):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        pass  # a client that gave up


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.respond()

    do_POST = do_PATCH = do_GET  # noqa: N815

    def respond(self):
        server, length = self.server, int(self.headers.get("Content-Length") or 0)
        message = json.loads(self.rfile.read(length) or b"{}")
        server.requests.set()
        if server.manner == "hangs":
            time.sleep(120)
            return
        folder = self.path.split("?")[0].rsplit("mlflow/", 1)[-1]
        if server.manner == "full" and folder == "runs/log-batch" and "metrics" in message and server.metrics():
            return self.reply({"error_code": "INTERNAL_ERROR", "message": "full"}, 500)
        self.reply(self.result(server, folder, message))

    def result(self, server, folder, message):
        if folder.startswith("experiments/get-by-name"):
            name = next(iter(server.experiments), None)
            return {"experiment": {"experiment_id": "1", "name": name, "lifecycle_stage": "active"}} if name else None
        if folder == "experiments/create":
            server.experiments[message["name"]] = "1"
            return {"experiment_id": "1"}
        if folder == "runs/search":
            return {"runs": list(server.runs.values())}
        if folder == "runs/create":
            info = {"run_id": "r1", "run_uuid": "r1", "experiment_id": "1", "status": "RUNNING", "lifecycle_stage": "active",
                    "start_time": message["start_time"], "artifact_uri": ""}  # fmt: skip
            server.runs["r1"] = {"info": info, "data": {"tags": message["tags"]}}
            return {"run": server.runs["r1"]}
        if folder == "runs/log-batch":
            server.batches.append(message)
            return {}
        if folder == "runs/update":
            server.ends.append(message["status"])
            return {"run_info": server.runs["r1"]["info"]}
        return {"run": server.runs["r1"]}

    def reply(self, values, status=200):
        if values is None:
            values, status = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no"}, 404
        data = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def stand_in(manner="good", port=0):
    server = StandIn(manner, port)
    try:
        yield server
    finally:
        server.die()


def mlflow_client():
    pytest.importorskip("mlflow", reason="mlflow-skinny is an extra (make extras)")


def test_mlflow_is_told_every_number_once_in_batches_over_breaks_and_failures(run):
    mlflow_client()
    expected = lambda: {  # noqa: E731
        (name, point.step, value)
        for point in points_of(read_metrics(run)[0], read_run(run).class_names, 0.0)
        for name, value in point.values.items()
    }
    with stand_in("full") as server:
        # Only the first batch is taken; the rest is said not to have been told, and told by the next.
        code, message = on_progress(run, "mlflow", patience=5.0, MLFLOW_TRACKING_URI=server.uri)
        assert code == 1 and "MLflow: the server doesn't answer as it should (MlflowException)" in message
        assert "MLflow was not told 2 of 22 rows (the server doesn't answer as it should" in message
        assert f"python -m core.tracking '{run}' mlflow" in message and read_progress(run, "mlflow").sent["train"] == 19
        server.manner = "good"
        code, message = on_progress(run, "mlflow", MLFLOW_TRACKING_URI=server.uri)
        assert (code, message) == (0, "MLflow: told of all 22 rows.\n")
        assert sorted(server.metrics()) == sorted(expected()), "each once"
        assert len(server.batches) <= 5 and len(server.runs) == 1 and list(server.experiments) == ["segmentation-lab"]
        assert server.ends[-1] == "KILLED" and set(server.ends[:-1]) == {"RUNNING"}
        parameters = {each["key"]: each["value"] for batch in server.batches for each in batch.get("params", [])}
        assert parameters["model.family"] == "unet" and parameters["training.batch_size"] == "2"

        before = len(server.metrics())
        append(run, range(16, 31), resumed_at=15)
        assert on_progress(run, "mlflow", MLFLOW_TRACKING_URI=server.uri) == (0, "MLflow: told of all 33 rows.\n")
        steps = [step for name, step, _ in server.metrics() if name == "train/loss"]
        assert steps == list(range(1, 31)), "what was done again is not told again"
        assert len(server.metrics()) > before


def test_a_password_in_the_address_is_said_nowhere(run):
    mlflow_client()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and doesn't listen
        uri = f"http://me:geheim@127.0.0.1:{taken.getsockname()[1]}"
        code, message = on_progress(run, "mlflow", patience=1, MLFLOW_TRACKING_URI=uri)
    assert code == 1 and "MLflow was not told 22 of 22 rows" in message
    for path in (path for path in run.rglob("*") if path.is_file()):
        message += path.read_text(errors="replace")
    assert "geheim" not in message and "127.0.0.1" not in message


def test_what_mlflow_says_of_a_failure_is_told_in_other_words():
    mlflow_client()
    from mlflow.exceptions import MlflowException, RestException

    from core.tracking.mlflow_server import _request

    for error, text in (
        (MlflowException("http://me:geheim@host: 401", error_code=13), "the server refuses whoever"),
        (RestException({"error_code": "INTERNAL_ERROR", "message": "geheim"}), "the server answers with 500"),
        (MlflowException("http://me:geheim@host refused"), r"as it should \(MlflowException\)"),
        (ConnectionError("geheim"), r"as it should \(ConnectionError\)"),
    ):

        def fail(error=error):
            raise error

        with pytest.raises(TrackerError, match=text) as caught:
            _request(fail)
        assert "geheim" not in str(caught.value) and caught.value.__suppress_context__


def test_a_tracker_that_is_asked_to_end_says_what_it_could_not_tell(run, wait_until):
    mlflow_client()
    update_status(run, state="running", trainer=ProcessId.of(os.getpid()))
    with stand_in("hangs") as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "core.tracking", str(run), "mlflow"],
            cwd=PROJECT, env=os.environ | {"MLFLOW_TRACKING_URI": server.uri}, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert server.requests.wait(300)
        process.send_signal(signal.SIGTERM)
        assert "was not told 22 of 22 rows" in process.communicate(timeout=30)[0]


def test_wandb_writes_every_point_in_its_offline_mode(run):
    pytest.importorskip("wandb", reason="wandb is an extra (make extras)")
    code, message = on_progress(run, "wandb", WANDB_MODE="offline", WANDB_API_KEY="", HOME=str(run))
    assert (code, message) == (0, "Weights & Biases: told of all 22 rows.\n")
    (file,) = run.glob("wandb/offline-run-*/*.wandb")
    # Its own reader is no longer written in Python: names and values stand there as they are.
    data = file.read_bytes()
    assert data.count(b"train/loss") >= 20 and data.count(b"val/miou") >= 2
    assert all(repr(1 / step).encode() in data for step in range(1, 21))
    assert str(PROJECT).encode() not in data


# ---- beside a training


@pytest.fixture
def trainer_here(monkeypatch):
    """The trainer's `main` in this process; returns the thread's seconds of processor in all, and those for trackers."""
    monkeypatch.setattr(os, "nice", lambda _: 0)
    handlers = {index: signal.getsignal(index) for index in (signal.SIGINT, signal.SIGTERM)}
    spent = []
    start_trackers = trainer.start_trackers

    def timed(*arguments):
        began = time.thread_time()
        start_trackers(*arguments)
        spent.append(time.thread_time() - began)

    def train(run):
        began = time.thread_time()
        assert trainer.main([str(run)]) == 0
        return time.thread_time() - began, spent.pop()

    monkeypatch.setattr(trainer, "start_trackers", timed)
    yield train
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def config(tiny_config):
    """A run of 60 steps."""
    return tiny_config(epochs=15, checkpoint_seconds=30)


@pytest.fixture(scope="module")
def undisturbed(config, streets, tmp_path_factory):
    """The fingerprint of the last checkpoint of that run, trained without a tracker."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGLAB_DATA", str(streets.parent))
        run = create_run(config, tmp_path_factory.mktemp("undisturbed"))
        assert train_here(run, config) == "finished"
    assert not (run / "tracking").exists() and not (run / "tensorboard").exists()
    return fingerprint(run)


@pytest.mark.parametrize("manner", ["hangs", "refuses", "dies"])
def test_a_bad_server_changes_no_weight_and_costs_nothing(
    manner, lab_folders, config, undisturbed, trainer_here, monkeypatch, wait_until
):
    mlflow_client()
    monkeypatch.setattr("core.tracking.start.PATIENCE", 2.0)
    run = create_run(config.model_copy(update={"tracking": TrackingConfig(mlflow=True)}), lab_folders.runs)
    with stand_in("hangs" if manner == "hangs" else "good") as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        if manner == "refuses":
            server.die()
        else:
            evaluate = loop.evaluate

            def in_the_middle(*arguments, **named):
                assert server.requests.wait(300), "it is asked while the run goes on"
                if manner == "dies":
                    server.die()
                return evaluate(*arguments, **named)

            monkeypatch.setattr(loop, "evaluate", in_the_middle)
        whole, tracking = trainer_here(run)
        assert read_run(run).state == "finished"
        log = run / "train.log"
        message = wait_until(lambda: "MLflow was not told" in (text := log.read_text()) and text, 300)
    assert fingerprint(run) == undisturbed
    assert 0 < tracking < 0.01 * whole
    assert "rows" in message and server.uri not in message


# ---- what is asked for, and isn't there


@pytest.mark.parametrize(
    ("name", "module", "text"),
    [
        ("tensorboard", "tensorboard", "TensorBoard needs tensorboard, which is not installed"),
        ("mlflow", "mlflow", "MLflow needs mlflow-skinny, which is not installed. In the lab's folder, type: "),
        ("wandb", "wandb", "Weights & Biases needs wandb, which is not installed."),
    ],
)
def test_a_package_that_is_missing_is_named_before_the_run(monkeypatch, name, module, text):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(LabError, match=text):
        check_trackers(TrackingConfig(**{name: True}))


def test_mlflow_needs_an_address_from_the_environment(monkeypatch):
    mlflow_client()
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(LabError, match="Set MLFLOW_TRACKING_URI"):
        check_trackers(TrackingConfig(mlflow=True))


def test_an_older_run_without_the_part_is_read_and_an_address_is_no_project():
    old = {part: values for part, values in read_config({}).model_dump().items() if part != "tracking"}
    assert read_config(old).tracking == TrackingConfig()
    with pytest.raises(LabError, match="tracking.project"):
        read_config({"tracking": {"project": "http://me:secret@host"}})

"""Two processes that train together: the same steps and the same scores as one alone, and a sentence when one hangs."""

import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest
import torch
from torch import nn

from core import runner
from core.config import ModelConfig
from core.errors import LabError
from core.models.build import build_model
from core.paths import PROJECT
from core.runner.device_lock import devices_for
from core.runs.metrics_log import evaluations, read_metrics, valid_rows
from core.runs.status import update_status
from core.runs.store import create_run, read_run
from core.training import distributed
from core.training.distributed import Distributed, TorchDistributed, init_distributed
from core.training.loop import train

pytestmark = pytest.mark.skipif(os.name == "nt", reason="torchrun's gloo is tried on POSIX alone")


def start_together(run, num_processes=2):
    command = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        f"--nproc-per-node={num_processes}",
        "-m",
        "core.training",
    ]
    return subprocess.Popen(
        [sys.executable, *command, str(run), "--supervised"],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=open(run / "train.log", "ab"),
        stderr=subprocess.STDOUT,
    )


def train_rows(run):
    return [row for row in valid_rows(read_metrics(run)[0]) if row["kind"] == "train"]


def test_a_team_that_the_lab_starts_takes_the_same_20_steps_as_one_process(lab_folders, tiny_config, wait_until):
    """Without batch statistics, which every process takes over its own frames."""
    fields = {"epochs": 10, "batch_size": 4, "evaluations": 2, "color_jitter": 0.0}
    model = {"norm": "group"}
    alone = create_run(tiny_config(model=model, **fields), lab_folders.runs)
    config = tiny_config(model=model, **fields)
    assert train(alone, config, lambda **_: None, lambda: False) == "finished"
    update_status(alone, state="finished")  # else it stands in the queue
    together = runner.launch(tiny_config(model=model, num_processes=2, **fields), lab_folders.runs)
    wait_until(lambda: not read_run(together).is_active, 180)
    result = read_run(together)
    assert result.state == "finished", (together / "train.log").read_text()
    assert result.plan["hardware"].startswith("2 processes, each on the CPU")
    ours, theirs = train_rows(together), train_rows(alone)
    assert len(ours) == len(theirs) == 20
    for one, two in zip(ours, theirs, strict=True):
        assert one["loss"] == pytest.approx(two["loss"], abs=1e-3)
    assert ours[-1]["loss"] < ours[0]["loss"] - 0.3
    assert [row["step"] for row in evaluations(together)] == [10, 20]


SCORE = """
import json, os, sys, torch
from pathlib import Path
from core.config import DatasetConfig, read_config
from core.data.dataset import open_dataset
from core.data.loaders import FrameStore, WholeFrames, build_loader, in_batches
from core.hardware import choose_hardware
from core.models.build import build_model
from core.training.evaluate import evaluate
from core.training.losses import SummedLoss
from core.training.distributed import init_distributed
config = read_config(json.loads(sys.argv[1]))
distributed = init_distributed(config.training.num_processes, "cpu")
hardware = choose_hardware(config.training)
dataset = open_dataset(config.dataset)
torch.manual_seed(0)
model = build_model(config.model, 19)
store = FrameStore(dataset, dataset.train)
loader = build_loader(WholeFrames(store), distributed.shard(in_batches(range(len(store)), 3)), 0)
found = evaluate(model, loader, SummedLoss(config.training, torch.ones(19)), hardware, distributed, keep=(0, 5))
if distributed.is_main_process:
    Path(sys.argv[2]).write_text(json.dumps([found.loss, found.confusion.matrix.tolist()]))
Path(sys.argv[2] + str(distributed.rank)).write_text(json.dumps(sorted(found.labels)))
distributed.destroy()
"""


def test_two_processes_score_as_one_to_the_last_digit(lab_folders, tiny_config, tmp_path, monkeypatch):
    script = tmp_path / "score.py"
    script.write_text(SCORE)
    one, two = (
        [str(script), tiny_config(num_processes=n, batch_size=2).model_dump_json(), str(tmp_path / f"score-{n}")]
        for n in (1, 2)
    )
    monkeypatch.setattr(sys, "argv", one)
    runpy.run_path(one[0])
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *two]
    subprocess.run(command, check=True, cwd=PROJECT, env=os.environ | {"PYTHONPATH": str(PROJECT)}, timeout=120)
    assert (tmp_path / "score-1").read_text() == (tmp_path / "score-2").read_text()
    assert [(tmp_path / f"score-2{rank}").read_text() for rank in (0, 1)] == ["[0]", "[5]"]


EVALUATE = """
import sys, torch
from pathlib import Path
from types import SimpleNamespace
from torch import nn
from core.training import loop
from core.training.distributed import init_distributed
from core.training.checkpoint import TrainingState
from core.training.ema import ModelEma
distributed = init_distributed(2, "cpu")
model = nn.Sequential(nn.BatchNorm2d(1))
ema = ModelEma(model, 0.5)
for name, value in ema.tensors.items():
    value.fill_(7.0 if "weight" in name or "bias" in name else distributed.rank + 1.0)  # statistics of its own frames
seen = {}
def evaluate(model, *_rest, keep):
    seen.update({name: value.float().mean().item() for name, value in model.state_dict().items()})
    return SimpleNamespace(confusion=SimpleNamespace(miou=lambda: 0.5), fitted=None)
loop.evaluate, loop.eval_row = evaluate, lambda *_: {}
plan, dataset = SimpleNamespace(sample_frames=()), SimpleNamespace(val=())
setup = SimpleNamespace(plan=plan, dataset=dataset, val_loader=None, previewed=(), loss=None, hardware=None)
saved = {}
recorder = SimpleNamespace(
    row=lambda _: None, samples=lambda *_: None,
    checkpoint=lambda which, state: saved.update({n: v.float().mean().item() for n, v in state.model.state_dict().items()}),
)
loop._evaluate(setup, TrainingState(model, ema=ema), recorder, SimpleNamespace(minutes=lambda: 0), 1, distributed, True)
Path(sys.argv[1] + str(distributed.rank)).write_text(repr((seen, saved)))
distributed.destroy()
"""


def test_every_process_scores_the_mean_that_the_leader_saves(tmp_path):
    """Batch statistics of the moving mean are each process's own; those of the leader are scored by all."""
    script = tmp_path / "evaluate.py"
    script.write_text(EVALUATE)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    subprocess.run(
        [*command, str(tmp_path / "seen-")],
        check=True,
        cwd=PROJECT,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        timeout=120,
    )
    leader, other = ((tmp_path / f"seen-{rank}").read_text() for rank in (0, 1))
    assert leader == other and "'0.running_mean': 1.0" in leader and "'0.weight': 7.0" in leader


def test_batch_statistics_are_of_all_processes_where_there_are_gpus(monkeypatch):
    """SyncBatchNorm works on GPUs alone: what the network becomes is looked at here, and that it answers alike."""
    monkeypatch.setattr(distributed, "DistributedDataParallel", lambda model: model)
    for family in ("fcn", "unet"):
        config = ModelConfig(family=family, encoder="test_efficientnet")
        network = build_model(config, 5).eval()
        images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        before, parameters = network(images), dict(network.named_parameters())
        names = network.state_dict().keys()
        team = TorchDistributed.__new__(TorchDistributed)
        norms = [name for name, part in network.named_modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
        for on_gpus, is_wanted, count in ((False, True, 0), (True, False, 0), (True, True, len(norms))):
            team.syncs_batch_norm = on_gpus
            team.wrap(network, is_wanted)
            assert sum(isinstance(part, nn.SyncBatchNorm) for part in network.modules()) == count
        assert norms
        assert network.state_dict().keys() == names
        assert all(parameters[name] is value for name, value in network.named_parameters())
        assert torch.allclose(network(images), before, atol=1e-6), "timm's normalisations keep their activations"


def test_more_processes_than_were_started_are_refused(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(LabError, match="asks for 2 processes, but 1 was started.*torchrun"):
        init_distributed(2, "cpu")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(LabError, match="asks for 2 processes, but 4 were started"):
        init_distributed(2, "cpu")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert type(init_distributed(1, "cpu")) is Distributed


HANGING = """
import os, signal
from core.config import read_config
from core.training import distributed
from core.training.__main__ import explain
distributed.STEP_SECONDS = 2
joined = distributed.init_distributed(2, "cpu")
# Who leads also keeps the store through which the others join: both have to be there before it stops.
joined.broadcast_object((True,))
joined.all_gather(None)
if joined.is_main_process:
    os.kill(os.getpid(), signal.SIGSTOP)
try:
    joined.broadcast_object((False,))
except Exception as error:
    print(explain(error, read_config({})).sentence)
"""


def test_a_leader_that_hangs_is_missed_within_a_step():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1]), "WORLD_SIZE": "2"}
    main_process, other = (
        subprocess.Popen(
            [sys.executable, "-c", HANGING],
            cwd=PROJECT,
            env=os.environ | meeting | {"RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    )
    try:
        assert "no longer answers. Resume the run" in other.communicate(timeout=120)[0]
    finally:
        main_process.kill()
        main_process.communicate()


@pytest.mark.campaign
def test_a_team_whose_leader_hangs_ends_by_itself(lab_folders, tiny_config, figure):
    config = tiny_config(
        epochs=5000, batch_size=4, num_processes=2, checkpoint_seconds=1000
    )  # while it writes one, patience is longer
    run = create_run(config, lab_folders.runs)
    update_status(run, state="queued")
    launcher, children = start_together(run), []
    try:
        deadline = time.monotonic() + 120
        while not train_rows(run):
            assert launcher.poll() is None and time.monotonic() < deadline, (run / "train.log").read_text()
            time.sleep(0.1)
        children = [
            child for child in psutil.Process(launcher.pid).children(recursive=True) if "RANK" in child.environ()
        ]
        main_process = next(child for child in children if child.environ()["RANK"] == "0")
        main_process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        assert launcher.wait(240) != 0
        figure(f"ended {time.monotonic() - began:.0f} s after its leader hung")
        result = read_run(run)
        assert result.state == "failed" and "no longer answers" in result.status.error
    finally:
        for process in (launcher, *children):
            with suppress(psutil.NoSuchProcess):
                process.kill()


def test_a_team_on_gpus_takes_a_slot_of_each():
    assert devices_for("cuda", 3) == ("cuda:0", "cuda:1", "cuda:2")
    assert devices_for("cpu", 3) == ("cpu",)
    assert devices_for("cuda:1", 1) == ("cuda:1",)

"""What the unit tests share: places that aren't the checkout's, a tiny data set, a tiny network, one trained run.

Nothing here reaches the network: the Hugging Face Hub is switched off before anything imports its client.
"""

import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"
# Torch's threads wait for each other busily: on a busy machine one is faster than two, and two that sleep than two that don't.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from core.auth import set_current_user, shell_user
from core.config import RunConfig, read_config
from core.jobs import engine
from core.jobs.kinds import load_work

TINY_SIZE = (64, 128)
"""Height and width of the tiny frames."""


@dataclass(frozen=True)
class LabFolders:
    """The folders of one test: runs, data (with the tiny streets in it), weights, and one for anything else."""

    runs: Path
    data: Path
    weights: Path
    other: Path


@pytest.fixture(scope="session")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Root of 8 train and 4 val street scenes of 64x128. Not to be written to."""
    from core.synthetic import write_streets

    root = tmp_path_factory.mktemp("data") / "streets"
    write_streets(root, train=8, val=4, size=TINY_SIZE, seed=0)
    return root


@pytest.fixture
def lab_folders(tmp_path: Path, streets: Path, monkeypatch: pytest.MonkeyPatch) -> LabFolders:
    """Points every `SEGLAB_*` place into a temporary folder; child processes inherit that."""
    result = LabFolders(tmp_path / "runs", streets.parent, tmp_path / "weights", tmp_path)
    for folder in (result.runs, result.weights):
        folder.mkdir()
    for name, value in _environment(result).items():
        monkeypatch.setenv(name, value)
    return result


@pytest.fixture
def jobs_at_once(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Jobs are done in this process before their start returns."""

    def do(command: list[str], *_: object) -> None:
        kind, file = command[-2:]
        engine.run_job(Path(file), load_work(kind))

    monkeypatch.setattr(engine, "start_detached", do)
    monkeypatch.setattr(os, "nice", lambda _: 0)
    yield
    set_current_user(shell_user)  # a job's process is its owner's


@pytest.fixture(scope="session")
def tiny_config() -> Callable[..., RunConfig]:
    """`tiny_config(epochs=2, ...)`: a plain U-Net of width 4 on the tiny streets; arguments are training fields.

    One thread and fp32, so that nothing depends on how busy the machine is or which instructions it has.
    """

    def config(
        dataset: dict[str, Any] | None = None, model: dict[str, Any] | None = None, **training: Any
    ) -> RunConfig:
        height, width = TINY_SIZE
        network: dict[str, Any] = {"family": "unet", "encoder": "plain", "weights": "none"} | (model or {})
        if network["encoder"] == "plain":
            network = {"width": 4} | network
        return read_config(
            {
                "dataset": {"name": "streets", "height": height, "width": width} | (dataset or {}),
                "model": network,
                "training": {
                    "minutes": 0,
                    "epochs": 3,
                    "batch_size": 2,
                    "crop_height": 32,
                    "crop_width": 64,
                    "evaluations": 2,
                    "checkpoint_seconds": 0,
                    "test_scale": 1,
                    "precision": "fp32",
                    "device": "cpu",
                    "threads": 1,
                }
                | training,
            }
        )

    return config


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory, streets: Path, tiny_config: Callable[..., RunConfig]) -> Path:
    """A finished run of 60 steps on the tiny streets, trained in this process. Not to be written to."""
    from core.runs.status import update_status
    from core.runs.store import create_run
    from core.training.loop import train

    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _environment(LabFolders(folder, streets.parent, folder / "none", folder)).items():
            patch.setenv(name, value)
        config = tiny_config(
            model={"width": 8}, epochs=30, batch_size=4, learning_rate=1e-2, crop_height=64, crop_width=128
        )
        run = create_run(config, folder)
        state = train(run, config, report=lambda **changes: None, should_stop=lambda: False)
    update_status(run, state=state, step=60, steps_total=60)
    return run


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real frames and weights beside the checkout, or the one that SEGLAB_SHARED names."""
    folder = Path(os.environ.get("SEGLAB_SHARED", Path(__file__).resolve().parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(f"there is no '{folder}' with real frames and weights; SEGLAB_SHARED may name another")
    return folder


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., Any]:
    """`wait_until(question, seconds)`: asks until the answer is true and returns it; fails after `seconds`."""
    import time

    def wait(question: Callable[[], Any], seconds: float = 60) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            response = question()
            if response:
                return response
            time.sleep(0.02)
        pytest.fail(f"waited {seconds} s in vain")

    return wait


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """`figure("3 models, 61 frames/s")`: what a test measured; stands in the summary at the end."""
    return lambda line: record_property("figure", line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures of all tests, those of other worker processes too."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    lines = [
        f"{report.nodeid}: {value}" for report in reports for name, value in report.user_properties if name == "figure"
    ]
    if lines:
        terminalreporter.section("figures, on a machine as busy as it was")
        for line in dict.fromkeys(lines):
            terminalreporter.line(line)


@pytest.fixture(autouse=True)
def _no_download(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever a test does to the environment, the next one finds the Hub switched off again."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    yield


@pytest.fixture(autouse=True)
def _same_main() -> Iterator[None]:
    """AppTest puts the script that it runs in the place of the main module, which every spawned process imports anew."""
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


def _environment(lab_folders: LabFolders) -> dict[str, str]:
    return {
        "SEGLAB_CHECKPOINTS": str(lab_folders.runs),
        "SEGLAB_DATA": str(lab_folders.data),
        "SEGLAB_DATA_ROOTS": os.pathsep.join([str(lab_folders.data), str(lab_folders.other)]),
        "SEGLAB_WEIGHTS": str(lab_folders.weights),
    }

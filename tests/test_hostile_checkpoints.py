"""Fifty checkpoints that want to harm, as a run folder that was copied here and as a network of the Hub: each a sentence."""

import json
import pickle
import resource
import shutil
import struct
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from core.errors import LabError, writing
from core.hub.origin import Origin
from core.hub.published import published_text, read_published
from core.hub.unpacking import make_run
from core.inference.predictor import load_predictor
from core.training.checkpoint import read_checkpoint

SECONDS = 5.0
MEMORY = 2**30
"""Bytes that one of them may take beyond what there is."""

IMAGE = np.zeros((64, 128, 3), np.uint8)
Tensors = dict[str, np.ndarray]


def header_of(path: Path) -> tuple[dict[str, Any], bytes]:
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def with_header(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    header, values = header_of(path)
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + values)


def with_tensors(change: Callable[[Tensors], object]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path)

    return write


def first(tensors: dict[str, Any]) -> str:
    return next(name for name in sorted(tensors) if name != "__metadata__")


def offsets(header: dict[str, Any], begin: int, end: int) -> None:
    header[first(header)]["data_offsets"] = [begin, end]


class Harm:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("/tmp/seglab-harm"),)


WEIGHTS: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "text": lambda path: path.write_bytes(b"hello"),
    "a pickle": lambda path: path.write_bytes(pickle.dumps(Harm())),
    "a pickle in a ZIP, as torch.save writes": lambda path: path.write_bytes(b"PK\x03\x04" + pickle.dumps(Harm())),
    "cut in the header": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "cut in the values": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "values doubled": lambda path: path.write_bytes(path.read_bytes() + bytes(40)),
    "a header of 2^63 bytes": lambda path: path.write_bytes(struct.pack("<Q", 2**63) + path.read_bytes()[8:]),
    "a header of 4 GB": lambda path: path.write_bytes(struct.pack("<Q", 2**32) + path.read_bytes()[8:]),
    "a header that is no JSON": lambda path: path.write_bytes(struct.pack("<Q", 8) + b"{{{{{{{{"),
    "a deep header": lambda path: path.write_bytes(struct.pack("<Q", 200_000) + b"[" * 200_000),
    "a header that is a list": lambda path: path.write_bytes(struct.pack("<Q", 2) + b"[]"),
    "overlapping tensors": lambda path: with_header(path, lambda header: offsets(header, 0, 16)),
    "offsets before the file": lambda path: with_header(path, lambda header: offsets(header, -16, 0)),
    "offsets behind the file": lambda path: with_header(path, lambda header: offsets(header, 2**40, 2**40 + 16)),
    "a shape of 2^62": lambda path: with_header(
        path, lambda header: header[first(header)].update(shape=[2**31, 2**31])
    ),
    "an unknown type": lambda path: with_header(path, lambda header: header[first(header)].update(dtype="Q9")),
    "a tensor missing": with_tensors(lambda tensors: tensors.pop(first(tensors))),
    "a tensor too many": with_tensors(lambda tensors: tensors.update(more=np.zeros(3, np.float32))),
    "a tensor of another shape": with_tensors(
        lambda tensors: tensors.update({first(tensors): np.zeros(3, np.float32)})
    ),
    "no tensor": with_tensors(lambda tensors: tensors.clear()),
    "a link to a secret": lambda path: (path.unlink(), path.symlink_to("/etc/passwd")),
    "a link to itself": lambda path: (path.unlink(), path.symlink_to(path.name)),
}
"""What is done to model.safetensors."""


def model(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda values: values["config"]["model"].update(fields)


def dataset(**fields: Any) -> Callable[[dict[str, Any]], object]:
    return lambda values: values["config"]["dataset"].update(fields)


STATES: dict[str, Callable[[dict[str, Any]], object]] = {
    "no config": lambda values: values.pop("config"),
    "a config that is text": lambda values: values.update(config="x"),
    "a deep config": lambda values: values.update(config=json.loads("[" * 500 + "]" * 500)),
    "an unknown family": model(family="os.system"),
    "a family of ours that is another": model(family="fcn", encoder="vgg16"),
    "an encoder as a path": model(encoder="../../../etc/passwd"),
    "an encoder as code": model(encoder="__import__('os').system('id')"),
    "an encoder of 1e9 weights": model(encoder="vit_giant_patch14_dinov2.lvd142m"),
    "an encoder of the Hub": model(encoder="hf-hub:evil/x"),
    "a width of 10^9": model(width=10**9),
    "a width of 10^5": model(width=10**5),
    "a width of -1": model(width=-1),
    "a width of NaN": model(width=float("nan")),
    "a width as a list": model(width=[4]),
    "another width": model(width=16),
    "ten thousand bands": dataset(bands=" ".join(map(str, range(1, 10_001)))),
    "bands as code": dataset(bands="1; rm -rf /"),
    "no classes": lambda values: values.update(classes=[]),
    "a million classes": lambda values: values.update(classes=[str(index) for index in range(10**6)]),
    "classes as a number": lambda values: values.update(classes=7),
    "colours as text": lambda values: values.update(colors="red"),
    "colours beyond 255": lambda values: values.update(colors=[[999, -1, 0]] * len(values["classes"])),
    "a step that is infinite": lambda values: values.update(step=float("inf")),
    "a step of 10^400": lambda values: values.update(step=10**400),
    "a score that is text": lambda values: values.update(best_miou="<script>"),
}
"""What is done to the values of state.json, or to those of the Hub's config.json."""


@contextmanager
def limits():
    """A second and a gigabyte are enough."""
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, before[1]))
    began = time.perf_counter()
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert time.perf_counter() - began < SECONDS


@pytest.fixture
def run(trained_run: Path, tmp_path: Path) -> Path:
    copied = tmp_path / trained_run.name
    shutil.copytree(trained_run, copied)
    load_predictor(copied)[0].predict(IMAGE)  # before the limits: what torch loads once isn't theirs
    return copied


def sentence_of(action: Callable[[], object]) -> str:
    """What an action is refused with; empty where it is done."""
    try:
        with limits():
            action()
    except LabError as error:
        assert len(str(error)) < 1000 and "Traceback" not in str(error), error
        return str(error)
    return ""


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="only Linux tells a process's size")
def test_there_are_fifty():
    assert len(WEIGHTS) + len(STATES) == 50


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="only Linux tells a process's size")
@pytest.mark.parametrize("name", [*WEIGHTS, *STATES])
def test_a_copied_run_that_wants_to_harm_is_a_sentence(run, name):
    if name in WEIGHTS:
        WEIGHTS[name](run / "best" / "model.safetensors")
    else:
        path = run / "best" / "state.json"
        values = json.loads(path.read_text())
        STATES[name](values)
        path.write_text(json.dumps(values))
    assert sentence_of(lambda: load_predictor(run)[0].predict(IMAGE)), "taken for a network"
    assert not Path("/tmp/seglab-harm").exists()


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="only Linux tells a process's size")
@pytest.mark.parametrize("name", [*WEIGHTS, *STATES])
def test_a_network_of_the_hub_that_wants_to_harm_is_a_sentence(run, name, tmp_path):
    weights = run / "best" / "model.safetensors"
    read = read_checkpoint(run, "best")
    values = json.loads(published_text(read.config, read.class_names, read.colors, read.step, read.best_miou, {}, {}))
    if name in WEIGHTS:
        WEIGHTS[name](weights)
    else:
        classes = values["classes"]
        state = values | {"config": values["run"], "classes": [row["name"] for row in classes]}
        state["colors"] = [row["color"] for row in classes]
        STATES[name](state)
        colors = state["colors"] if isinstance(state["colors"], list) else [state["colors"]] * len(classes)
        names = state["classes"]
        values |= {"run": state.get("config"), "step": state["step"], "best_miou": state["best_miou"]}
        if isinstance(names, list):
            values["classes"] = [
                {"name": each, "color": colors[index % len(colors)]} for index, each in enumerate(names)
            ]
        else:
            values["classes"] = names
    folder = tmp_path / "taken"
    folder.mkdir()
    origin = Origin(repo="evil/network", commit="a" * 40)

    def take() -> None:
        published = read_published(values, origin.repo, lambda _name, _classes: "")
        with writing(folder):  # as `core.hub.pull` does
            make_run(origin, published, weights, folder)

    assert sentence_of(take), "taken for a network"
    assert not list(folder.iterdir()), "something of it stayed"

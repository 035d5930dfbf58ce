"""Seconds from a dropped picture to the first and to the full mask of each family, against smp's network and the plain
one in fp32.

    python benchmarks/predict.py [--families fcn unet vit] [--seen training whole] [--rounds 5]

A street of 2048 x 1024 is dropped as a JPEG. Ours goes the page's way: the guarded decoder's process, the inference
process with the quick and the full question in its queue, answers kept on disk, and the PNGs and the JPEG that the
viewer is given; Streamlit's script, its wait of up to 0.3 s for the full answer, and the browser are not in it. The
others go a tutorial's way in one process: PIL, the network as it was built in fp32, logits scaled up to the picture,
labels without confidence, one PNG.

    smp    smp.Unet on our encoder; for the ViT smp.DPT on a ViT-S of patches of 16, since it takes none of 14
    plain  our own network with the very same weights

Two lines a family. "training": the network sees the picture at the pixels that a run of the default config is trained
and scored on, 512 x 256, and the mask is scaled up, which is what the page does by default. "whole": it sees all of the
2048 x 1024, as with a run that was trained at that size. All ways see as many pixels. A network is fitted to a few
streets first, so that masks look like masks.

Figures are medians of rounds in which the ways take turns, every time with a picture not seen before; processes are
warm and networks loaded. "fresh" is the first question to a lab whose processes don't run yet. The last line is the
least of all the ratios to smp.
"""

import argparse
import hashlib
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import Literal

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import psutil
import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torchvision.transforms.v2.functional import pil_to_tensor

from app.media import encode_image, encode_map
from benchmarks.tutorial import Normalized, plain_optimizer, plain_step, smp_unet
from core.config import ModelConfig, RunConfig, read_config
from core.inference.fair_queue import outcome
from core.inference.prediction_cache import PredictionCache
from core.inference.tta import QUICK
from core.inference.worker import InferenceWorker
from core.labels import CITYSCAPES_19
from core.models.build import build_model
from core.models.weights_source import fetch_weights, find_weights
from core.paths import PROJECT
from core.processes import available_cores
from core.synthetic.scene import draw_scene
from core.training.checkpoint import TrainingState, save_checkpoint

Way = Literal["ours", "smp", "plain"]
Size = tuple[int, int]
"""Height and width."""

CLASSES = len(CITYSCAPES_19.class_names)
SMP_VIT = "vit_small_patch16_224"
FITTED_FRAMES = 4
SHARED = PROJECT.parent / "shared"


def fitted(config: RunConfig, steps: int) -> nn.Module:
    """Return a family's network after some steps on a few streets, from the encoder weights that are here."""
    torch.manual_seed(0)
    network = build_model(config.model, CLASSES)
    source = find_weights(config.model)
    if source.kind != "scratch":
        network.load_pretrained(fetch_weights(source))
    scenes = [draw_scene(0, index, (config.dataset.height, config.dataset.width)) for index in range(FITTED_FRAMES)]
    images = torch.from_numpy(np.stack([scene.image for scene in scenes])).permute(0, 3, 1, 2).float() / 255
    targets = torch.from_numpy(np.stack([CITYSCAPES_19.lookup[scene.label_ids] for scene in scenes])).long()
    optimizer = plain_optimizer(network)
    for _ in range(steps):
        plain_step(network, optimizer, images, targets)
    return network


# ---- ours


def drop(worker: InferenceWorker, run: Path, data: bytes) -> tuple[float, float]:
    """Return seconds until the viewer could be given the first mask, and the full one."""
    began = time.perf_counter()
    (upload,) = worker.decode_batch("street.jpg", data)
    hashlib.sha256(upload.image).hexdigest()  # what the page calls the picture by
    seconds = []
    for response in [worker.ask(run, upload.image, options=QUICK), worker.ask(run, upload.image)]:
        result = outcome(response)
        encode_map(result.labels)
        encode_map(result.confidence)
        if not seconds:
            encode_image(upload.image)
        seconds.append(time.perf_counter() - began)
    return seconds[0], seconds[1]


@contextmanager
def lab() -> Iterator[InferenceWorker]:
    """A server's worker; its processes start with the first question."""
    worker = InferenceWorker(PredictionCache())
    yield worker
    worker.close()


# ---- theirs, in a process of its own


@contextmanager
def tutorial(way: Way, run: Path, model: ModelConfig, seen: Size) -> Iterator[Executor]:
    """A process that holds one network; `seconds_to_mask` asks it."""
    forks = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if forks else "spawn")
    if forks:  # imported once for all of them
        context.set_forkserver_preload(["torch", "timm", "torchvision", "segmentation_models_pytorch"])
    with ProcessPoolExecutor(1, context) as process:
        process.submit(_enter, way, run, model, seen).result()
        yield process


def seconds_to_mask(process: Executor, data: bytes) -> float:
    """Return what a tutorial takes from a picture's bytes to its mask's."""
    return process.submit(_explain, data).result()


_network: list[nn.Module] = []
_seen: list[Size] = []


def _enter(way: Way, run: Path, model: ModelConfig, seen: Size) -> None:
    torch.set_num_threads(available_cores())
    torch.manual_seed(0)
    if way == "plain":
        network = build_model(model, CLASSES)
        network.load_state_dict(load_file(run / "best/model.safetensors"))
    elif model.family == "vit":
        peer = smp.DPT(f"tu-{SMP_VIT}", encoder_weights=None, classes=CLASSES, dynamic_img_size=True)
        network = Normalized(peer, SMP_VIT)
    else:
        network = smp_unet(model.encoder_name, CLASSES)
    _network.append(network.eval())
    _seen.append(seen)


@torch.no_grad()
def _explain(data: bytes) -> float:
    began = time.perf_counter()
    pixels = Image.open(BytesIO(data)).convert("RGB")
    seen = pixels if pixels.size == _seen[0][::-1] else pixels.resize(_seen[0][::-1], Image.Resampling.BILINEAR)
    images = pil_to_tensor(seen)[None].float() / 255
    logits = _network[0](images)
    if logits.shape[-2:] != (pixels.height, pixels.width):
        logits = F.interpolate(logits, size=(pixels.height, pixels.width), mode="bilinear", align_corners=False)
    labels = logits[0].argmax(dim=0).to(torch.uint8).numpy()
    Image.fromarray(labels).save(BytesIO(), "PNG")
    return time.perf_counter() - began


# ---- side by side


def compare(config: RunConfig, run: Path, seen: Size, images: Iterator[bytes], rounds: int) -> tuple[float, float]:
    """Return seconds of ours to the first mask, and how many times as fast as smp's the full one is. Prints a line."""
    with lab() as cold:
        fresh = drop(cold, run, next(images))
    spent: dict[str, list[float]] = {name: [] for name in ("first", "full", "smp", "plain")}
    with ExitStack() as stack:
        worker = stack.enter_context(lab())
        others = {way: stack.enter_context(tutorial(way, run, config.model, seen)) for way in ("smp", "plain")}
        for _ in range(1 + rounds):
            data = next(images)
            first, full = drop(worker, run, data)
            spent["first"].append(first)
            spent["full"].append(full)
            for way, process in others.items():
                spent[way].append(seconds_to_mask(process, data))
        memory = psutil.Process(worker.pid).memory_info().rss
    # The first round loads and warms.
    first, full, peer, plain = (statistics.median(taken[1:]) for taken in spent.values())
    print(
        f"{config.model.title:32} {seen[1]:5} x {seen[0]:<5} {first:8.2f} {full:8.2f} {peer:8.2f} {plain:8.2f} "
        f"{peer / full:8.1f} {plain / full:8.1f} {fresh[0]:8.1f} {fresh[1]:8.1f} {memory / 2**20:8.0f}",
        flush=True,
    )
    return first, peer / full


def dropped(size: Size) -> Iterator[bytes]:
    """Yield JPEGs of a street, every one with other pixels."""
    image = draw_scene(1, 0, size).image
    while True:
        image = np.ascontiguousarray(np.roll(image, 16, axis=1))
        yield encode_image(image)


def main() -> None:
    """Print two lines a family and, last, the least ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", choices=["fcn", "unet", "vit"], default=["fcn", "unet", "vit"])
    parser.add_argument("--seen", nargs="+", choices=["training", "whole"], default=["training", "whole"])
    parser.add_argument("--image", type=int, nargs=2, default=(1024, 2048), help="height and width of what is dropped")
    parser.add_argument("--size", type=int, nargs=2, default=(256, 512), help="height and width of training frames")
    parser.add_argument("--steps", type=int, default=8, help="that a network is fitted for")
    parser.add_argument("--rounds", type=int, default=5, help="counted turns of each")
    options = parser.parse_args()
    if (SHARED / "weights").is_dir():
        os.environ.setdefault("SEGLAB_WEIGHTS", str(SHARED / "weights"))
    print(f"A picture of {options.image[1]} x {options.image[0]}; {available_cores()} cores; seconds to a mask.")
    print(
        f"{'network':32} {'seen':>13} {'first':>8} {'full':>8} {'smp':>8} {'plain':>8} {'smp/full':>8} {'pl./full':>8} "
        f"{'fresh 1':>8} {'fresh 2':>8} {'MiB':>8}"
    )
    firsts, ratios = [], []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SEGLAB_CACHE"] = os.environ["SEGLAB_CHECKPOINTS"] = folder
        images = dropped(tuple(options.image))
        for family in options.families:
            height, width = options.size
            sizes = {"height": height, "width": width}
            values = {"dataset": sizes, "model": {"family": family}, "training": {"test_scale": 1}}
            network = fitted(read_config(values), options.steps)
            for seen in options.seen:
                size = tuple(options.size if seen == "training" else options.image)
                config = read_config(values | {"dataset": {"height": size[0], "width": size[1]}})
                run = Path(folder) / f"{family}-{seen}"
                run.mkdir()
                state = TrainingState(network, step=options.steps, best_miou=0.0)
                save_checkpoint(run, "best", state, config, CITYSCAPES_19)
                first, ratio = compare(config, run, size, images, options.rounds)
                firsts.append(first)
                ratios.append(ratio)
    print(f"longest wait for a first mask: {max(firsts):.2f} s")
    print(f"ratio: {min(ratios):.1f}")


if __name__ == "__main__":
    main()

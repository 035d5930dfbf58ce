"""What a run costs, measured by doing a little of it: two steps, and a validation batch at full size."""

import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from statistics import median

import psutil
import torch

from core.config import RunConfig
from core.data.loaders import MEMORY_BUDGET, FrameStore, build_loader, in_batches
from core.paths import runs_folder
from core.training.distributed import Distributed
from core.training.evaluate import evaluate
from core.training.plan import count_steps, frames_to_score, mean_cost
from core.training.probe.dry_run import Cost, DryRun, judge
from core.training.probe.probe import Probe, open_probe
from core.training.probe.probe_process import Line, serve_probe
from core.training.usage import free_memory, peak_memory

STEPS, MAX_STEPS, MEASURED_SECONDS = 2, 8, 2.0
"""Short steps are repeated up to so often or so long: the first also compiles kernels, and two short ones say
little.
"""


def measure(config: RunConfig, began: float | None = None) -> Cost:
    """Do the two steps and the validation batch in this process, which should have been made for it.

    Args:
        config: of the run.
        began: when the process did, by `time.monotonic()`: its start is part of a run's time.

    Raises:
        LabError: the run couldn't start at all.
    """
    began = time.monotonic() if began is None else began
    probe = open_probe(config)
    training = config.training
    device = probe.hardware.device
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else free_memory()
    seconds_to_decode = _time_to_decode(probe)
    frames = len(probe.crops.store) + len(probe.whole)
    frame_bytes = 4 * config.dataset.height * config.dataset.width
    in_memory = isinstance(probe.crops.store, FrameStore)  # in memory, instead of in a cache on disk

    # Scoring first: a process on a CPU keeps what it once had, and a step takes more, so afterwards it could not be
    # told.
    at_rest = _taken(device)
    _time_to_score(probe)
    scoring = max(0, _peak_memory(device) - at_rest)
    seconds_per_step = _time_of_a_step(probe)
    seconds_per_frame = _time_to_score(probe)
    seconds_to_score = seconds_per_frame * frames_to_score(training, len(probe.whole), seconds_per_frame)

    weights = _size(probe.model.state_dict().values())
    gradients = _size(value.grad for value in probe.model.parameters() if value.grad is not None)
    states = probe.optimizer.state.values()
    moments = _size(value for state in states for value in state.values() if isinstance(value, torch.Tensor))
    decoded = min(MEMORY_BUDGET, frames * frame_bytes) if in_memory and device.type != "cuda" else 0
    decoding = seconds_to_decode * frames if in_memory else 0.0
    if in_memory and frames * frame_bytes > MEMORY_BUDGET:
        again = 1 - MEMORY_BUDGET / (frames * frame_bytes)
        seconds_per_step += again * seconds_to_decode * training.samples_per_step / max(1, probe.hardware.workers)
    used = time.monotonic() - began + decoding  # the run looks at itself first, about as long as this took
    steps = count_steps(training, probe.items, used, seconds_per_step, seconds_to_score)
    seconds_per_step *= mean_cost(training)
    return Cost(
        seconds_per_step=seconds_per_step,
        seconds_per_evaluation=seconds_per_frame * len(probe.whole),
        seconds_per_epoch=seconds_per_step * probe.items / training.samples_per_step,
        steps=steps,
        seconds_total=used + steps * seconds_per_step + seconds_to_score,
        memory_bytes=_peak_memory(device) + decoded,
        memory_fixed_bytes=at_rest + gradients + moments + decoded,
        memory_scoring_bytes=scoring,
        memory_free_bytes=free,
        checkpoint_bytes=2 * weights + moments + (weights if training.ema else 0),
        disk_free_bytes=_free_disk(),
        hardware=probe.hardware.sentence,
    )


def _time_to_decode(probe: Probe) -> float:
    """Return seconds a frame. Apart from the steps: most frames are decoded once and then kept."""
    indices = sorted({index for keys in probe.batches(STEPS) for _, index, _ in keys})
    began = time.monotonic()
    for index in indices:
        probe.crops.store[index]
    return (time.monotonic() - began) / len(indices)


def _time_of_a_step(probe: Probe) -> float:
    """Return seconds, loading included."""
    seconds: list[float] = []
    batches = probe.load(MAX_STEPS)
    while len(seconds) < STEPS or (len(seconds) < MAX_STEPS and sum(seconds) < MEASURED_SECONDS):
        began = time.monotonic()
        probe.step(next(batches))
        seconds.append(time.monotonic() - began)
    return median(seconds[1:])


def _time_to_score(probe: Probe) -> float:
    """Return seconds of a validation frame."""
    first = in_batches(range(len(probe.whole)), probe.config.training.batch_size)[:1]
    loader = build_loader(probe.whole, first, workers=0)
    return evaluate(probe.model, loader, probe.loss, probe.hardware, Distributed()).seconds_per_frame


def _taken(device: torch.device) -> int:
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else psutil.Process().memory_info().rss


def _peak_memory(device: torch.device) -> int:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else peak_memory()


def _size(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def _free_disk() -> int:
    folder = runs_folder()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _work(config: RunConfig) -> Iterator[Line]:
    # The imports above took their part of a run's time too.
    started = time.monotonic() - (time.time() - psutil.Process().create_time())
    cost = measure(config, started)
    yield DryRun(cost, judge(cost, config)).as_dict()


def main() -> int:
    """Run the process: a config in, JSON lines out. Return the exit code."""
    return serve_probe(_work)


if __name__ == "__main__":
    sys.exit(main())

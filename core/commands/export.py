"""`python -m core export`: a run's network as a file for other tools."""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from core.commands.options import say
from core.errors import LabError
from core.export.offer import FILES, Export, Report, export_path, write_export
from core.places import runs_folder
from core.runs import ProcessId, Run, find_run

TOLD_EVERY = 0.3
"""Seconds between two lines of how far an export is."""


def add_export(command: argparse.ArgumentParser) -> None:
    """Gives a parser the arguments of the command `export`."""
    command.add_argument("run", help="id of a run, or a part of it")
    command.add_argument("--format", choices=list(FILES), default="onnx", help="torch is torch.export's .pt2")
    command.add_argument("--out", type=Path, help="default: in the run's folder, where the page Runs offers it")
    command.set_defaults(command=export)


def export(options: argparse.Namespace) -> dict[str, Any]:
    """Writes a run's best checkpoint as a file of another kind, once it was seen to answer as the network does."""
    run = find_run(options.run, runs_folder())
    out = options.out.expanduser().absolute() if options.out else export_path(run.path, options.format)
    if out.is_dir():
        raise LabError(f"'{out}' is a folder. Name the file to write.")
    with _told(options, run) as (tell, finish):
        from core.export.export import export_run

        report = export_run(run, options.format, out, tell)
        finish(report)
    say(options, f"{out}, {report.size_bytes / 1e6:.1f} MB, of step {report.step}.")
    say(
        options,
        f"{report.agreement:.3%} of the pixels of {report.frames} frames have the same class; logits differ by at most "
        f"{report.largest_difference:.2g}.",
    )
    height, width = report.size
    ours = f"{report.network_ms:.0f} ms a frame of {width} x {height} in PyTorch, {report.file_ms:.0f} ms in the file"
    say(options, f"{ours}, {report.threads} threads each." if report.threads > 1 else f"{ours}, one thread each.")
    if not report.any_size:
        say(options, f"It takes pictures of {width} x {height} alone: this network's code names its size.")
    return {"run": run.id, "format": options.format, "file": str(out), **asdict(report)}


@contextmanager
def _told(
    options: argparse.Namespace, run: Run
) -> Iterator[tuple[Callable[[str, int, int], None], Callable[[Report], None]]]:
    """How far an export is: on a bar in the terminal and, where the file goes into the run's folder, beside it for the page."""
    bar = tqdm(disable=options.json or None, bar_format="{desc}: {n_fmt}/{total_fmt}")
    now = Export("running", time.time(), ProcessId.of(os.getpid()))
    written = 0.0

    def write(**changes: Any) -> None:
        nonlocal now, written
        now, written = replace(now, updated=time.time(), **changes), time.time()
        if not options.out:
            write_export(run.path, options.format, now)

    def tell(phase: str, done: int, total: int) -> None:
        bar.set_description(phase)
        bar.total, bar.n = total or 1, done
        bar.refresh()
        if phase != now.phase or time.time() - written >= TOLD_EVERY:
            write(phase=phase, done=done, total=total)

    try:
        write()
        yield tell, lambda report: write(state="finished", report=report)
    except LabError as error:
        write(state="failed", error=str(error))
        raise
    except BaseException as error:
        write(
            state="failed",
            error=f"The export ended with a fault of the lab ({type(error).__name__}). Its log has the details.",
        )
        raise
    finally:
        bar.close()

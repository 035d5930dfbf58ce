"""`python -m core export`: a run's network as a file for other tools."""

import argparse
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.commands.options import add_moved_root, moved, say
from core.commands.progress_bar import ProgressBar
from core.errors import LabError
from core.export.files import EXPORTS
from core.paths import expanded, runs_folder
from core.runs.store import find_run
from core.text import format_bytes


def add_export(command: argparse.ArgumentParser) -> None:
    """Give a parser the arguments of the command `export`."""
    command.add_argument("run", help="id of a run, or a part of it")
    add_moved_root(command)
    command.add_argument("--format", choices=list(EXPORTS), default="onnx", help="torch is torch.export's .pt2")
    command.add_argument("--out", type=Path, help="the file to write; default: named after the run, here")
    command.set_defaults(command=export)


def export(options: argparse.Namespace) -> dict[str, Any]:
    """Write a run's best checkpoint as a file of another kind, once it was seen to answer as the network does."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in core.export.job
    from core.export.export import export_run

    run = moved(find_run(options.run, runs_folder()), options)
    out = expanded(options.out or f"{run.id}{Path(EXPORTS[options.format].file).suffix}").absolute()
    if out.is_dir():
        raise LabError(f"'{out}' is a folder. Name the file to write.")
    with ProgressBar(options) as progress:
        report = export_run(run, options.format, out, progress)
    say(options, f"{out}, {format_bytes(report.size_bytes)}, of step {report.step}.")
    height, width = report.size
    threads = f"{report.threads} threads" if report.threads > 1 else "one thread"
    say(
        options,
        f"{report.agreement:.3%} of the pixels of {report.frames} frames have the same class; logits differ by at most"
        f" {report.largest_difference:.2g}.\n{report.network_ms:.0f} ms a frame of {width} x {height} in PyTorch,"
        f" {report.file_ms:.0f} ms in the file, {threads} each.",
    )
    if not report.any_size:
        say(options, f"It takes pictures of {width} x {height} alone: this network's code names its size.")
    return {"run": run.id, "format": options.format, "file": str(out), **asdict(report)}

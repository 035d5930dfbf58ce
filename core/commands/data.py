"""Commands about data: drawing streets, getting Cityscapes, examining a data set, keeping decoded frames."""

import argparse
import getpass
import shlex
import sys
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from core.auth import require_write
from core.commands.options import add_part, overrides, say
from core.commands.progress_bar import ProgressBar
from core.config import read_config
from core.data.class_table import save_class_table
from core.data.joint_list import write_list
from core.errors import LabError
from core.paths import resolve_data_root, streets_folder
from core.text import format_bytes


def add_data(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add the commands streets, get, doctor, join and cache."""
    command = commands.add_parser("streets", parents=[common], help="draw street scenes in the Cityscapes layout")
    command.add_argument("--out", type=Path, help="folder to write; default: the lab's own")
    for name, default in (("train", 200), ("val", 40), ("height", 256), ("width", 512), ("seed", 0)):
        command.add_argument(f"--{name}", type=int, default=default, help=f"default {default}")
    command.set_defaults(command=streets)

    command = commands.add_parser("doctor", parents=[common], help="say what is wrong with a data set")
    command.add_argument(
        "root", metavar="ROOT", help="folder of the data set; nothing in it is changed without --write"
    )
    command.add_argument(
        "--classes", metavar="TABLE", default="auto", help="a numbering, or the path of a class table; default auto"
    )
    command.add_argument(
        "--limit", type=int, default=0, metavar="N", help="look at N evenly spread pairs of each split; default all"
    )
    command.add_argument("--proposal", action="store_true", help="print only the text of a classes.json that fits")
    command.add_argument("--write", action="store_true", help="save the proposed class table as ROOT/classes.json")
    command.set_defaults(command=doctor)

    command = commands.add_parser(
        "join", parents=[common], help="make one data set of several, by the names of classes"
    )
    command.add_argument("name", metavar="NAME", help="of the folder that stands for all of them")
    command.add_argument(
        "roots", metavar="ROOT", nargs="+", help="folders of the data sets, the first one's classes first"
    )
    command.set_defaults(command=join)

    command = commands.add_parser("get", parents=[common], help="download Cityscapes with your own account")
    command.add_argument("what", choices=["cityscapes"])
    command.add_argument("--into", required=True, metavar="FOLDER", help="that shall hold leftImg8bit and gtFine")
    command.add_argument(
        "--packages",
        nargs="+",
        metavar="NAME",
        help=(
            "archives to fetch, of leftImg8bit_trainvaltest.zip, gtFine_trainvaltest.zip, gtCoarse.zip and"
            " leftImg8bit_trainextra.zip; default: the first two"
        ),
    )
    command.add_argument("--keep-archives", action="store_true", help="don't remove an archive once it is unpacked")
    command.add_argument(
        "--credentials-stdin", action="store_true", help="read username and password as two lines from stdin"
    )
    command.set_defaults(command=get)

    command = commands.add_parser("cache", parents=[common], help="decoded frames on disk: list, build, remove")
    command.add_argument("action", choices=["list", "build", "remove"], nargs="?", default="list")
    command.add_argument("keys", nargs="*", metavar="KEY", help="which to remove; all where none is named")
    command.add_argument("--kind", choices=["raw", "jpeg"], default="raw", help="exact, or a tenth of the room")
    add_part(command, "dataset")
    command.set_defaults(command=cache)


def streets(options: argparse.Namespace) -> dict[str, Any]:
    """Draw the generated street scenes."""
    from core.synthetic import write_streets

    require_write()
    root = options.out or streets_folder()
    began = time.monotonic()
    with ProgressBar(options) as progress:
        size = (options.height, options.width)
        write_streets(root, options.train, options.val, size, options.seed, partial(progress, "Drawing"))
    seconds = time.monotonic() - began
    say(options, f"{options.train} + {options.val} street scenes in {root}, {seconds:.1f} s.")
    return {"root": str(root), "train": options.train, "val": options.val, "seconds": round(seconds, 2)}


def doctor(options: argparse.Namespace) -> dict[str, Any]:
    """Say what is wrong with a data set, and what mends it; the folder is only read but for --write."""
    from core.data.doctor import SEVERITIES, examine

    root = resolve_data_root(options.root)
    with ProgressBar(options) as progress:
        report = examine(root, options.classes, progress=partial(progress, "Looking"), max_frames=options.limit)
    if (options.proposal or options.write) and not report.proposal and not options.json:
        raise LabError(
            f"No class table can be proposed for '{root}', or none is needed. Without --proposal or --write, the doctor"
            " says which."
        )
    if options.write and report.proposal:
        path = save_class_table(root, report.proposal)
        say(
            options, f"{path} is written. Look its names over, and then: python -m core doctor {shlex.quote(str(root))}"
        )
        return {"root": str(root), "written": str(path)}
    if options.proposal and not options.json:
        print(report.proposal, end="")
        return {}
    if not options.json:
        for finding in sorted(report.findings, key=lambda finding: SEVERITIES.index(finding.severity)):
            print(f"{finding.severity}: {finding.text} [{finding.code}]")
        if report.proposal:
            print(f"Save the proposed class table with: python -m core doctor {shlex.quote(str(root))} --write")
        if report.split_source:
            print(f"Split: {report.split_source}")
        _print_classes(report)
        print(f"{'Healthy' if report.healthy else 'Not healthy'}: {report.looked_at} pairs looked at in {root}.")
    return report.to_json()


def join(options: argparse.Namespace) -> dict[str, Any]:
    """Write a folder that is several data sets as one."""
    root = write_list(options.name, options.roots)
    say(options, f"{root} is the joint data set. Look at it: python -m core doctor {shlex.quote(str(root))}")
    return {"root": str(root)}


def _print_classes(report: Any) -> None:
    """Print a line for each class: its share of the labelled pixels, and the share of frames that show it, in train and
    in val.
    """
    parts = [part for part in ("train", "val") if any(report.pixels.get(part, ()))]
    if not parts:
        return
    print(" " * 20 + "".join(f"{f'pixels of {part}':>18}{f'frames of {part}':>18}" for part in parts))
    for index, name in enumerate(report.classes):
        shares = (
            f"{report.pixels[part][index] / sum(report.pixels[part]):18.2%}"
            f"{report.images[part][index] / report.labels[part]:18.1%}"
            for part in parts
        )
        print(f"{name[:19]:20}" + "".join(shares))


def get(options: argparse.Namespace) -> dict[str, Any]:
    """Download Cityscapes with the user's own account, and unpack it. Run again, it goes on where it was."""
    from core.data.download import FINE, get_packages, login, target_folder

    folder = target_folder(options.into)
    names = options.packages or list(FINE)
    with ProgressBar(options, "B") as progress:
        lacking = get_packages(lambda: login(*_credentials(options)), names, folder, progress, options.keep_archives)
    for sentence in filter(None, lacking.values()):
        say(options, sentence)
    say(options, f"Cityscapes is in {folder}. Look at it: python -m core doctor {shlex.quote(str(folder))}")
    return {"root": str(folder), "lacking": lacking}


def _credentials(options: argparse.Namespace) -> tuple[str, str]:
    """Username and password, asked for or read from stdin.

    Never taken from the command line, where others could read them.
    """
    if options.credentials_stdin:
        return sys.stdin.readline().rstrip("\r\n"), sys.stdin.readline().rstrip("\r\n")
    try:
        print("Username or email address at cityscapes-dataset.com: ", end="", file=sys.stderr, flush=True)
        return input(), getpass.getpass("Password: ")
    except EOFError:
        raise LabError(
            "Nobody is there to be asked. Give username and password as two lines: --credentials-stdin."
        ) from None


def cache(options: argparse.Namespace) -> dict[str, Any]:
    """List the caches of decoded frames, build those of a data set, or remove some."""
    from core.data.cache import build_cache, cache_size, list_caches, remove_caches
    from core.data.dataset import open_dataset

    if options.action == "remove":
        freed = remove_caches(options.keys or None)
        say(options, f"{format_bytes(freed)} are free again.")
        return {"freed": freed}
    if options.action == "build":
        require_write()
        values = overrides(options).get("dataset", {})
        dataset = open_dataset(read_config({"dataset": values}).dataset)
        for frames in (dataset.train, dataset.val):
            size = cache_size(dataset, frames, options.kind)
            say(options, f"{len(frames)} frames of {dataset.root} take {format_bytes(size)}.")
            with ProgressBar(options) as progress:
                build_cache(dataset, frames, options.kind, progress=partial(progress, "Decoding"))
    results = [asdict(entry) for entry in list_caches()]
    for entry in results:
        height, width = entry["size"]
        state = "" if entry["complete"] else ", unfinished"
        say(
            options,
            f"{entry['key']}  {format_bytes(entry['bytes']):>9}  {entry['kind']}, {entry['frames']} frames of {width} x"
            f" {height} from {entry['root']}{state}",
        )
    if not results:
        say(
            options,
            "No decoded frames are kept. Keep some: python -m core cache build --dataset.name cityscapes --dataset.root"
            " FOLDER",
        )
    return {"caches": results}

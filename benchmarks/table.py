"""Every benchmark of speed, memory and learning, and one table: work, peer, ratio, goal, and whether it was reached.

    python benchmarks/table.py [--only models predict ...] [--root ../shared/data/cityscapes]

Each script runs in a process of its own, one after the other; what it prints goes by as usual, and its last lines fill
the table, which README's is copied from. Over an hour on two cores that do nothing else.
"""

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        script: of this folder, without its ending.
        work: what is done.
        peer: by whom else.
        line: a pattern of the line that a script prints, with the ratio in a group; or with ours and theirs, whose
            difference then counts.
        goal: the least ratio or difference that we mean to reach.
    """

    script: str
    work: str
    peer: str
    line: str
    goal: float

    def reached(self, output: str) -> float | None:
        """Return the ratio or the difference that a script printed; None where it printed none."""
        found = re.search(self.line, output, re.MULTILINE)
        if not found:
            return None
        values = [float(value) for value in found.groups()]
        return values[0] if len(values) == 1 else values[0] - values[1]


RATIO = r"^ratio: ([\d.]+)$"
ROWS = (
    Row("models", "training step of the three families", "the plain step in fp32", RATIO, 1.8),
    Row("training", "training, rows and checkpoints included", "a tutorial's loop", RATIO, 1.8),
    Row("predict", "full mask, the slowest family", "smp's network in fp32", RATIO, 2.0),
    Row("loading", "training crops, without the cache", "a tutorial's loader", r"^ratio without cache: ([\d.]+)$", 1.5),
    Row("loading", "training crops, from the cache", "a tutorial's loader", RATIO, 30),
    Row("scoring", "IoU of label maps", "torchmetrics", RATIO, 20),
    Row("scoring", "boundaries of a frame", "its IoU", r"^boundaries: ([\d.]+)$", 0.2),
    Row("scoring", "IoU and iIoU", "cityscapesscripts", r"^official: ([\d.]+)$", 4),
    *(
        Row("learning", f"{work}, {title}", "a tutorial's loop, as long", rf"^{family} {line}$", goal)
        for family, title in (("fcn", "FCN"), ("unet", "U-Net"), ("vit", "ViT"))
        for work, line, goal in (
            ("mIoU after five minutes", r"mIoU ours ([\d.]+) theirs ([\d.]+)", 0.15),
            ("time to the tutorial's score", r"sooner: ([\d.]+)", 4),
        )
    ),
)
WITH_ROOT = ("training", "learning")


def table(outputs: dict[str, str]) -> str:
    """Return the table in Markdown of what scripts printed, by their names; rows of other scripts are left out."""
    lines = ["| work | peer | ours against it | goal | reached |", "|---|---|---|---|---|"]
    for row in ROWS:
        if row.script in outputs:
            value = row.reached(outputs[row.script])
            reached = "broke off" if value is None else "yes" if value >= row.goal else "no"
            is_difference = row.line.count("(") > 1
            shown = "" if value is None else f"{value:+.3f}" if is_difference else f"{value:.2f} x"
            goal = f"{row.goal:+.2f}" if is_difference else f"{row.goal:g} x"
            lines.append(f"| {row.work} | {row.peer} | {shown} | {goal} | {reached} |")
    return "\n".join(lines)


def main() -> int:
    """Run the scripts, and print the table; returns 1 where one of them broke off."""
    scripts = list(dict.fromkeys(row.script for row in ROWS))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=scripts, default=scripts)
    parser.add_argument("--root", help="of Cityscapes, for what trains on real frames")
    options = parser.parse_args()
    outputs, failed = {}, 0
    for script in options.only:
        command = [sys.executable, f"benchmarks/{script}.py"]
        command += ["--root", options.root] if options.root and script in WITH_ROOT else []
        print(f"== {' '.join(command[1:])}", flush=True)
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            lines = []
            for line in process.stdout or ():
                print(line, end="", flush=True)
                lines.append(line)
        outputs[script] = "".join(lines)
        failed += process.returncode != 0
    print(f"\n{table(outputs)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

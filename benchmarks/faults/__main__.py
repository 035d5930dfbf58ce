"""What the lab keeps when things break: processes, disks, clocks, and the files of others.

    python -m benchmarks.faults [--only trainer checkpoint ...] [--scale 0.1]

Real trainers on tiny generated streets, one thread each, in a temporary folder. Every campaign counts what it did and
what was lost by it, and ends with a row of a table in Markdown; whatever was lost makes the exit code 1. `--scale 0.1`
does a tenth of it. Disks that are full or read-only are mounted (a tmpfs of a few megabytes), which takes the rights to
do so. Files of others are tried by the lab's own tests, which are asked how many there were.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.faults import disks, inputs, processes
from benchmarks.faults.bench import SIZE, Bench, Result, end
from core.errors import LabError
from core.runs.store import list_runs
from core.synthetic import write_streets

CAMPAIGNS: dict[str, Callable[[Bench], Result]] = {
    "trainer": processes.killed_trainers,
    "checkpoint": processes.kills_inside_checkpoints,
    "supervisor": processes.killed_supervisors,
    "server": processes.killed_servers,
    "hung": processes.hung_processes,
    "queue": processes.killed_queue,
    "memory": processes.out_of_memory,
    "shared-memory": processes.small_shared_memory,
    "clock": processes.clock_set_back,
    "disk-metrics": lambda bench: disks.full_disk(bench, "metrics"),
    "disk-checkpoints": lambda bench: disks.full_disk(bench, "checkpoints"),
    "writers-full": lambda bench: disks.unwritable(bench, disks.full),
    "writers-read-only": lambda bench: disks.unwritable(bench, disks.read_only),
    "numbers": inputs.bad_values,
    "uploads": lambda bench: inputs.tried(bench, "uploads"),
    "checkpoints": lambda bench: inputs.tried(bench, "checkpoints"),
    "paths": lambda bench: inputs.tried(bench, "paths"),
    "readers": lambda bench: inputs.tried(bench, "readers"),
}


def main() -> int:
    """Run the campaigns and print their table; returns 1 when anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(CAMPAIGNS), default=list(CAMPAIGNS))
    parser.add_argument("--scale", type=float, default=1.0, help="share of the faults; default 1")
    parser.add_argument("--seed", type=int, default=0, help="of the dice; default 0")
    options = parser.parse_args()
    lost = 0
    with tempfile.TemporaryDirectory(prefix="seglab-faults-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        os.environ |= {"SEGLAB_DATA": name, "SEGLAB_DATA_ROOTS": name, "OMP_NUM_THREADS": "1"}
        write_streets(folder / "streets", train=8, val=4, size=SIZE, seed=0)
        print("| what breaks | faults | what is kept | lost | seconds |\n|---|---|---|---|---|", flush=True)
        for campaign in options.only:
            began = time.monotonic()
            bench = Bench(folder / campaign, options.scale, random.Random(options.seed))
            bench.folder.mkdir()
            try:
                result = CAMPAIGNS[campaign](bench)
            except (TimeoutError, subprocess.CalledProcessError, LabError) as error:
                result = Result(campaign, 0, f"broken off: {error}", 1)
            finally:
                for run in (outcome for path in bench.folder.iterdir() if path.is_dir() for outcome in list_runs(path)):
                    end(run.path)
            lost += result.lost
            seconds = time.monotonic() - began
            print(
                f"| {result.campaign} | {result.faults} | {result.kept} | {result.lost} | {seconds:.0f} |", flush=True
            )
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())

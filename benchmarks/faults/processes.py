"""Campaigns against processes: killed, hung, out of memory, under a clock that is set back."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.faults.bench import (
    PATIENCE,
    ROOT,
    Bench,
    Result,
    config,
    end,
    ended_alike,
    fingerprint,
    kill,
    launch_and_wait,
    loads,
    revive,
    steps,
    trainers_in,
    wait_for_device,
    wait_until,
)
from core import runner
from core.config import RunConfig
from core.errors import LabError
from core.runs.metrics_log import read_metrics
from core.runs.status import read_status
from core.runs.store import create_run, list_runs, read_run


def killed_trainers(bench: Bench) -> Result:
    """Return trainers killed at random steps: the same weights as undisturbed, and no row that a reader has seen is
    missing later.
    """
    wish = config(epochs=250)
    folder = bench.runs("trainer")
    undisturbed = launch_and_wait(wish, folder)
    kills, lost, rows_seen = bench.times(20), 0, 0
    done = 0
    while done < kills:
        run = runner.launch(wish, folder)
        for _ in range(min(5, kills - done)):
            wait_until(lambda run=run: read_run(run).state == "running" and read_status(run).step > 0)
            time.sleep(bench.dice.uniform(0, 2))
            if not kill(read_status(run).trainer):
                break
            wait_until(lambda run=run: not read_run(run).is_active)
            seen = read_metrics(run)[0]
            done += 1
            runner.resume(run)
            wait_until(lambda run=run, seen=seen: len(read_metrics(run)[0]) > len(seen) or not read_run(run).is_active)
            lost += read_metrics(run)[0][: len(seen)] != seen
            rows_seen += len(seen)
        wait_until(lambda run=run: not read_run(run).is_active)
        lost += fingerprint(run) != fingerprint(undisturbed) or steps(run) != steps(undisturbed)
    return Result("trainer killed at a random moment", done, f"same SHA-256, all {rows_seen} rows that were read", lost)


def kills_inside_checkpoints(bench: Bench) -> Result:
    """Return trainers killed while they write a checkpoint: one that loads remains, and the run goes on from it."""
    folder = bench.runs("checkpoint")
    run = runner.launch(config(width=32, epochs=10_000, checkpoint_seconds=0), folder)
    kills, inside, lost = bench.times(60), 0, 0
    fresh = run / ".last.new"
    for _ in range(kills):
        wait_until(lambda: (run / "last").exists() or not read_run(run).is_active)
        trainer = wait_until(lambda: read_status(run).trainer)
        wait_until(fresh.exists, pause=0)
        time.sleep(bench.dice.uniform(0, 0.02))
        kill(trainer)
        inside += fresh.exists() or (run / ".last.old").exists()
        wait_until(lambda: not read_run(run).is_active)
        lost += not loads(run)
        runner.resume(run)
        before = read_metrics(run)[1]
        wait_until(lambda before=before: read_metrics(run)[1] > before or not read_run(run).is_active)
        lost += not read_run(run).is_active
    end(run)
    return Result(
        "trainer killed inside a checkpoint", kills, f"{inside} of them half-way; one that loads remains", lost
    )


def killed_supervisors(bench: Bench) -> Result:
    """Return supervisors killed, waiting ones and watching ones: never two trainers at a time."""
    folder = bench.runs("supervisor")
    for _ in range(4):
        runner.launch(config(epochs=500), folder)
    kills, limit = bench.times(20), 0
    for _ in range(kills):
        processes = [run.status.supervisor for run in list_runs(folder) if run.is_active]
        kill(bench.dice.choice([expected for expected in processes if expected and expected.is_alive()] or [None]))
        until = time.monotonic() + bench.dice.uniform(0.2, 2)
        while time.monotonic() < until:
            limit = max(limit, trainers_in(folder))
            time.sleep(0.05)
        revive(folder)
    for run in list_runs(folder):
        with suppress(LabError):
            runner.stop_now(run.path, patience=5)
    return Result("supervisor killed", kills, f"{limit} trainer at most on the device", max(0, limit - 1))


def killed_queue(bench: Bench) -> Result:
    """Many queued runs whose supervisors and trainers are killed at random: all finish, one at a time."""
    folder = bench.runs("queue")
    count = bench.times(80)
    for _ in range(count):
        runner.launch(config(epochs=5), folder)
    kills, limit, deadline = 0, 0, time.monotonic() + 30 * count + PATIENCE
    while any(run.state != "finished" for run in list_runs(folder)) and time.monotonic() < deadline:
        limit = max(limit, trainers_in(folder))
        if kills < count and bench.dice.random() < 0.1:
            processes = [
                expected
                for run in list_runs(folder)
                if run.is_active
                for expected in (run.status.supervisor, run.status.trainer)
                if expected and expected.is_alive()
            ]
            kills += kill(bench.dice.choice(processes or [None]))
        revive(folder)
        time.sleep(0.1)
    unfinished = sum(run.state != "finished" for run in list_runs(folder))
    cached = f"{count - unfinished} of {count} runs finished, {limit} trainer at most"
    return Result(f"random kills in a queue of {count}", kills, cached, unfinished + max(0, limit - 1))


def killed_servers(bench: Bench) -> Result:
    """Kill the server with its whole group of processes while a run that it launched trains: the run ends as if nothing
    had been, and a new server answers and shows it.
    """
    folder = bench.runs("server")
    wish = config(epochs=120)
    undisturbed = launch_and_wait(wish, folder)
    times, lost, slowest = bench.times(20), 0, 0.0
    for _ in range(times):
        known = {run.id for run in list_runs(folder)}
        server, address = start_server(folder, wish)
        run = wait_until(lambda known=known: [each for each in list_runs(folder) if each.id not in known])[0].path
        wait_until(lambda run=run: read_status(run).step > 0 or not read_run(run).is_active)
        time.sleep(bench.dice.uniform(0, 1))
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        began = time.monotonic()
        again, address = start_server(folder)
        slowest = max(slowest, time.monotonic() - began)
        lost += answer(f"{address}/lab/metrics/{run.name}") != 200
        wait_until(lambda run=run: not read_run(run).is_active)
        os.killpg(again.pid, signal.SIGKILL)
        again.wait()
        lost += not ended_alike(run, undisturbed)
    return Result(
        "server killed with all that is in its group",
        times,
        f"every run finished, same SHA-256; a new server answered within {slowest:.0f} s",
        lost,
    )


SERVER = """
import json
import sys
import threading
from pathlib import Path
from streamlit.web import cli
from core import runner
from core.config import read_config
if len(sys.argv) > 1:
    folder, wish = Path(sys.argv[1]), read_config(json.loads(sys.argv[2]))
    threading.Timer(2, lambda: runner.launch(wish, folder)).start()
sys.argv = ["streamlit", "run", "app/main.py", "--server.port", PORT, "--server.headless", "true", "--", "--no-token"]
cli.main()
"""
"""The lab's server, which launches a run from one of its threads, as a page's button does."""


def start_server(folder: Path, wish: RunConfig | None = None) -> tuple[subprocess.Popen[bytes], str]:
    """Start the lab's server in a group of its own, and wait until it answers; returns it and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    program = SERVER.replace("PORT", repr(str(port)))
    server = subprocess.Popen(
        [sys.executable, "-c", program, *([str(folder), wish.model_dump_json()] if wish else [])],
        cwd=ROOT,
        env=os.environ | {"SEGLAB_CHECKPOINTS": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_until(lambda: answer(f"{address}/_stcore/health") == 200, pause=0.1)
    return server, address


def answer(address: str) -> int:
    """Return the status of an address; 0 where nothing answers."""
    try:
        with urllib.request.urlopen(address, timeout=10) as response:
            return response.status
    except OSError as error:
        return getattr(error, "code", 0)


def hung_processes(bench: Bench) -> Result:
    """Stop one of two processes that train together in its tracks: the run ends by itself with a sentence, and goes on
    to the same weights once it is resumed.
    """
    folder = bench.runs("hung")
    wish = config(epochs=60, num_processes=2)
    undisturbed = launch_and_wait(wish, folder)
    times, lost, slowest = bench.times(10), 0, 0.0
    for _ in range(times):
        run = runner.launch(wish, folder)
        wait_until(lambda run=run: read_status(run).step > 0)
        time.sleep(bench.dice.uniform(0, 1))
        ranks = [process for process in psutil.process_iter(["cmdline"]) if is_rank(process, run)]
        with suppress(IndexError, psutil.NoSuchProcess):
            bench.dice.choice(sorted(ranks, key=lambda process: process.pid)).suspend()
        began = time.monotonic()
        wait_until(lambda run=run: not read_run(run).is_active)
        slowest = max(slowest, time.monotonic() - began)
        result = read_run(run)
        lost += result.state != "failed" or not result.status.error
        runner.resume(run)
        wait_until(lambda run=run: not read_run(run).is_active)
        lost += any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in ranks)
        lost += not ended_alike(run, undisturbed)
    return Result(
        "one of two processes hangs",
        times,
        f"failed with a sentence within {slowest:.0f} s; resumed, same SHA-256",
        lost,
    )


def is_rank(process: psutil.Process, run: Path) -> bool:
    """Return whether a process is one of those that train a run together."""
    command = process.info["cmdline"] or []
    if str(run) not in command:
        return False
    with suppress(psutil.Error):
        return "RANK" in process.environ()
    return False


def out_of_memory(bench: Bench) -> Result:
    """Let a trainer have no more memory than it has, at a random moment: a sentence and a smaller batch are proposed, a
    checkpoint that loads remains, and with memory again the run ends with the same weights.
    """
    folder = bench.runs("memory")
    wish = config(epochs=120, batch_size=4)
    undisturbed = launch_and_wait(wish, folder)
    times, lost = bench.times(10), 0
    for _ in range(times):
        run = start_program(STARVED, wish, folder, str(3 + bench.dice.randrange(200)))
        result = read_run(run)
        lost += (result.state, result.status.failure) != ("failed", "memory") or not result.status.suggested_change
        lost += (run / "last").exists() and not loads(run)
        runner.resume(run)
        wait_until(lambda run=run: not read_run(run).is_active)
        lost += not ended_alike(run, undisturbed)
    return Result("out of memory", times, "a sentence and a smaller batch each; with memory again, same SHA-256", lost)


STARVED = """
import resource
import sys
import psutil
from core.training import __main__ as trainer, loop
step, calls, kept = loop.train_step, [0], []
def starved(*given, **named):
    calls[0] += 1
    if calls[0] == int(sys.argv[2]):
        size = psutil.Process().memory_info().vms
        resource.setrlimit(resource.RLIMIT_AS, (size, resource.RLIM_INFINITY))
        try:
            while True:
                kept.append(bytearray(2 ** 20))  # what the allocators hold in reserve
        except MemoryError:
            pass
    return step(*given, **named)
loop.train_step = starved
sys.exit(trainer.main(sys.argv[1:2]))
"""
"""A trainer that may have no more memory from a certain step on."""


def start_program(program: str, wish: RunConfig, folder: Path, *arguments: str) -> Path:
    """Make a run, let a program that stands for its trainer end, and return the run."""
    run = create_run(wish, folder)
    wait_for_device(folder)
    with open(run / "train.log", "ab") as log:
        subprocess.run(
            [sys.executable, "-c", program, str(run), *arguments], cwd=ROOT, stdout=log, stderr=log, check=False
        )
    return run


def small_shared_memory(bench: Bench) -> Result:
    """Leave 16 kB of /dev/shm to loading processes, as a container may: a sentence, and with what it proposes the run
    finishes.
    """
    folder = bench.runs("shared-memory")
    times, lost = bench.times(5), 0
    for _ in range(times):
        run = create_run(config(epochs=20, workers=2), folder)
        wait_for_device(folder)
        command = f"mount -t tmpfs -o size=16k tmpfs /dev/shm && exec {sys.executable} -m core.training {run}"
        with open(run / "train.log", "ab") as log:
            subprocess.run(["unshare", "-m", "sh", "-c", command], cwd=ROOT, stdout=log, stderr=log, check=False)
        result = read_run(run)
        lost += result.state != "failed" or "/dev/shm" not in result.status.error
        other = runner.clone(run, result.status.suggested_change)
        wait_until(lambda other=other: not read_run(other).is_active)
        lost += read_run(other).state != "finished"
    return Result("/dev/shm of 16 kB", times, "a sentence each; finished with what it proposes", lost)


def clock_set_back(bench: Bench) -> Result:
    """Set a trainer's clock back by an hour at a random step: the same weights, and no time below zero."""
    folder = bench.runs("clock")
    wish = config(epochs=120)
    undisturbed = launch_and_wait(wish, folder)
    times, lost = bench.times(10), 0
    for _ in range(times):
        run = start_program(SET_BACK, wish, folder, str(3 + bench.dice.randrange(200)))
        rows = read_metrics(run)[0]
        lost += not ended_alike(run, undisturbed)
        lost += steps(run) != steps(undisturbed)
        lost += any((row.get(name) or 0) < 0 for row in rows for name in row if "second" in name or "minute" in name)
    return Result("clock set back by an hour", times, "same SHA-256, every row, no time below zero", lost)


SET_BACK = """
import sys
import time
from core.training import __main__ as trainer, loop
step, calls, now = loop.train_step, [0], time.time
def later(*given, **named):
    calls[0] += 1
    if calls[0] == int(sys.argv[2]):
        time.time = lambda: now() - 3600
    return step(*given, **named)
loop.train_step = later
sys.exit(trainer.main(sys.argv[1:2]))
"""
"""A trainer whose clock is set back at a certain step."""

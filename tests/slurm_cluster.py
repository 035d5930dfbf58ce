"""A SLURM of one's own on the loopback address, for the tests: a controller, two nodes with a processor each, and four partitions.

Its programs are those on the PATH, or Debian's packages unpacked into a cache folder. No database, so no `sacct`; the lab asks none.
"""

import getpass
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from core.runner import trainer
from core.runner.slurm.job import Training

PACKAGES = (
    "slurmctld",
    "slurmd",
    "slurm-client",
    "munge",
    "slurm-wlm-basic-plugins",
    "libmunge2",
    "libhwloc15",
    "liblua5.1-0",
)
CLIENTS = ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "srun")
GRACE_SECONDS = 60
"""What a preempted job is given: trainers on a busy machine are slow to start and slow to stop."""


class NoSlurmError(Exception):
    """Why there is no cluster to be had."""


@dataclass
class Cluster:
    """The daemons and what they write, under one folder."""

    folder: Path
    prefix: Path | None
    """Where Debian's packages are unpacked; None when they are installed."""
    kill_wait: int
    """Seconds that a cancelled job is given to end by itself."""
    daemons: dict[str, subprocess.Popen] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What its clients need."""
        path = os.pathsep.join([str(self.folder / "bin"), os.environ["PATH"], "/usr/sbin", "/sbin"])
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def start(self) -> None:
        """Writes its files and starts its daemons. Raises NoSlurmError when they don't come up."""
        for name in ("bin", "state", "log"):
            (self.folder / name).mkdir()
        if self.prefix:
            for name in CLIENTS:
                script = self.folder / "bin" / name
                script.write_text(
                    f'#!/bin/sh\nLD_LIBRARY_PATH={self._libraries} exec {self.prefix}/usr/bin/{name} "$@"\n'
                )
                script.chmod(0o755)
        self._configure()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o600)
        munge = {name: str(self.folder / f"munge.{name}") for name in ("socket", "pid", "seed", "log")}
        self._launch(
            "munged",
            *("--foreground", "--force", f"--key-file={key}", f"--socket={munge['socket']}"),
            *(f"--pid-file={munge['pid']}", f"--seed-file={munge['seed']}", f"--log-file={munge['log']}"),
        )
        self._wait(lambda: Path(munge["socket"]).exists(), "munged")
        self.start_controller()
        for node in ("n1", "n2"):
            stepper = ["-d", self._program("slurmstepd")] if self.prefix else []
            self._launch("slurmd", "-D", "-N", node, *stepper, name=node)
        self._wait(lambda: self.ask("sinfo", "-h", "-N", "-p", "both", "-o", "%t").split() == ["idle", "idle"], "n1")

    def start_controller(self) -> None:
        """Starts slurmctld; what it knew before, it reads from its disk."""
        self._launch("slurmctld", "-D")
        self._wait(lambda: "is UP" in self.ask("scontrol", "ping"), "slurmctld")

    def stop_controller(self) -> None:
        """As for an update. One that is killed forgets what it did since it last wrote, and keeps a node waiting for minutes."""
        self.daemons["slurmctld"].terminate()
        self.daemons["slurmctld"].wait(60)

    def stop(self) -> None:
        """Ends every job, then the daemons."""
        self.ask("scancel", "--user", getpass.getuser())
        deadline = time.monotonic() + 60
        while self.ask("squeue", "-h") and time.monotonic() < deadline:
            time.sleep(0.1)
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
        for daemon in self.daemons.values():
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()

    def ask(self, *command: str) -> str:
        """What one of its clients answers."""
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | self.environment, timeout=120)
        return done.stdout.strip()

    @property
    def _libraries(self) -> str:
        lib = self.prefix / "usr/lib" / f"{os.uname().machine}-linux-gnu"
        return f"{lib}:{lib}/slurm-wlm"

    def _program(self, name: str) -> str:
        folders = [self.prefix / "usr/sbin"] if self.prefix else [Path("/usr/sbin"), Path("/usr/local/sbin")]
        names = [folder / each for folder in folders for each in (name, f"{name}-wlm")]
        return next(str(path) for path in names if path.exists())

    def _launch(self, program: str, *arguments: str, name: str = "") -> None:
        name = name or program
        environment = os.environ | self.environment
        if self.prefix:
            environment["LD_LIBRARY_PATH"] = self._libraries
        with open(self.folder / "log" / f"{name}.out", "ab") as log:
            self.daemons[name] = subprocess.Popen(
                [self._program(program), *arguments],
                env=environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _wait(self, question, name: str) -> None:
        deadline = time.monotonic() + 60
        while not question():
            if time.monotonic() > deadline or self.daemons[name].poll() is not None:
                message = (self.folder / "log" / f"{name}.out").read_text(errors="replace")[-500:]
                raise NoSlurmError(f"{name} doesn't come up: {message}")
            time.sleep(0.2)

    def _configure(self) -> None:
        controller, node1, node2 = _free_ports(3)
        host, user = socket.gethostname(), getpass.getuser()
        plugins = f"PluginDir={self._libraries.split(':')[1]}\n" if self.prefix else ""
        (self.folder / "slurm.conf").write_text(
            f"""{plugins}ClusterName=lab
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
# How long a job that queues again must wait is the lifetime of a credential.
AuthInfo=socket={self.folder}/munge.socket,cred_expire=5
StateSaveLocation={self.folder}/state
SlurmdSpoolDir={self.folder}/spool-%n
SlurmctldPidFile={self.folder}/slurmctld.pid
SlurmdPidFile={self.folder}/slurmd-%n.pid
SlurmctldLogFile={self.folder}/log/slurmctld.log
SlurmdLogFile={self.folder}/log/slurmd-%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
KillWait={self.kill_wait}
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,sched_min_interval=1000,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName=n1 NodeAddr=127.0.0.1 NodeHostname={host} Port={node1} CPUs=1 RealMemory=1000
NodeName=n2 NodeAddr=127.0.0.1 NodeHostname={host} Port={node2} CPUs=1 RealMemory=1000
PartitionName=one Nodes=n1 Default=YES MaxTime=INFINITE PriorityTier=1 GraceTime={GRACE_SECONDS}
PartitionName=urgent Nodes=n1 MaxTime=INFINITE PriorityTier=10
PartitionName=other Nodes=n2 MaxTime=INFINITE PriorityTier=1
PartitionName=both Nodes=n1,n2 MaxTime=INFINITE PriorityTier=1
"""
        )


TRAINER = """
import os, sys, time
from pathlib import Path
from core.processes import ProcessId
from core.runs.status import read_status, requested, update_status

sys.stdin.read()
run = Path(sys.argv[1])
with open(run.parent / "diary", "a") as diary:
    diary.write(f"begin {run.name}\\n")
step = read_status(run).step
update_status(run, state="running", phase="training", trainer=ProcessId.of(os.getpid()), started=time.time())
deadline = time.time() + (3600 if os.environ.get("HANGS") else 0.3)
while (os.environ.get("DEAF") or not (asked := requested(run))) and time.time() < deadline:
    step += 1
    update_status(run, step=step)
    time.sleep(0.05)
with open(run.parent / "diary", "a") as diary:
    diary.write(f"end {run.name} at {step}\\n")
state = {"stop": "stopped", "pause": "paused", "requeue": "queued", None: "finished"}[asked]
update_status(run, state=state, phase="", ended=None if asked == "requeue" else time.time(), exit=0)
"""
"""Trains nothing, and therefore starts in no time. Notes in `diary` when it is there; with HANGS set it stays until
it is asked to go, and with DEAF for ever."""


class LightTraining(Training):
    """What a job is handed in place of a training: its processes, with a trainer that only pretends. Its script lies beside the runs."""

    def __call__(self) -> None:
        trainer.TRAINER = (str(self.run.parent / "trainer.py"),)
        super().__call__()


@contextmanager
def cluster(folder: Path, kill_wait: int = 20) -> Iterator[Cluster]:
    """A cluster that runs inside. Raises NoSlurmError with the reason when there is none to be had."""
    result = Cluster(folder, _prefix(), kill_wait)
    try:
        result.start()
        yield result
    finally:
        result.stop()


def _prefix() -> Path | None:
    """The folder of the unpacked packages; None when SLURM and munge are installed."""
    path = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    if all(shutil.which(name, path=path) for name in (*CLIENTS, "slurmctld", "slurmd", "munged")):
        return None
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise NoSlurmError(
            "slurmctld, slurmd and munged aren't installed, and there is no apt-get to fetch Debian's packages with"
        )
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "segmentation-lab-slurm"
    prefix = cache / "prefix"
    if not prefix.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=cache))  # another session may be at it too
        fetch = ["apt-get", "download", *PACKAGES]
        done = subprocess.run(fetch, cwd=work, capture_output=True, text=True)
        if done.returncode and os.getuid() == 0:
            subprocess.run(["apt-get", "update", "-qq"], capture_output=True)
            done = subprocess.run(fetch, cwd=work, capture_output=True, text=True)
        if done.returncode:
            raise NoSlurmError(f"Debian's packages of SLURM can't be fetched: {done.stderr.strip().splitlines()[-1]}")
        for package in work.glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, work / "prefix"], check=True)
        with suppress(OSError):
            (work / "prefix").rename(prefix)
        shutil.rmtree(work, ignore_errors=True)
    return prefix


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports

"""Thirty people's browsers while one account floods the lab: what the others' pages take, against the same without it.

    python benchmarks/load.py [--people 30] [--minutes 10]

A server with sign-in, two short trainings and street scenes in a temporary folder. Each person has a socket as a
browser has, goes from page to page with a second's pause, and fetches curves and pictures as the pages do; now and then
a picture is uploaded. The flood is one account with as many sockets as it gets, which asks for pages without a pause,
fetches, uploads, and fills the queues of trainings and jobs. Both halves run in turn in one minute each, so that what
else the machine does falls on both. Prints medians and their ratio, what failed, and the server's largest size.
"""

import argparse
import asyncio
import json
import os
import re
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import httpx  # noqa: E402 - after the path is set
import psutil  # noqa: E402
import websockets  # noqa: E402
from streamlit.proto.BackMsg_pb2 import BackMsg  # noqa: E402
from streamlit.proto.ClientState_pb2 import ClientState  # noqa: E402
from streamlit.proto.Common_pb2 import FileURLsRequest  # noqa: E402
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg  # noqa: E402
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value  # noqa: E402

from core import runner  # noqa: E402
from core.config import read_config  # noqa: E402
from core.runs.store import read_run  # noqa: E402
from core.synthetic import write_streets  # noqa: E402
from core.text import format_bytes  # noqa: E402

COOKIE, XSRF = "_streamlit_user", "_streamlit_xsrf"
PAUSE = 1.0
"""Seconds that a person looks at a page."""
FLOOD = "flood@example.org"
PICTURE = re.compile(rb"/lab/picture/[0-9a-f]{40}\.(?:png|jpg)")
FILLS_QUEUES = """
import sys, time
from pathlib import Path
from core import runner
from core.errors import LabError
from core.evaluation.job import start_evaluation
from core.evaluation.results import EvaluationSettings
from core.runs.store import read_run
first = read_run(Path(sys.argv[1]))
while True:
    for ask in (
        lambda: runner.launch(first.config, first.path.parent),
        lambda: start_evaluation([first.id], EvaluationSettings()),
    ):
        try:
            ask()
        except LabError:
            time.sleep(0.2)
"""


@dataclass
class Lab:
    """A running lab and what is known of it."""

    address: str
    secret: str
    runs: list[str]
    server: psutil.Process

    def cookies(self, person: str) -> dict[str, str]:
        """Return what a browser holds in which a person signed in."""
        claims = {"origin": self.address, "is_logged_in": True, "email": person, "email_verified": True}
        token = secrets.token_hex(16)
        return {COOKIE: create_signed_value(self.secret, COOKIE, json.dumps(claims)).decode(), XSRF: token}

    def nbytes(self) -> int:
        """Return the memory of the server and of the processes that it started, without trainers and jobs."""
        own = [self.server, *self.server.children(recursive=True)]
        sizes = [0]
        for process in own:
            with suppress(psutil.Error):
                if not any(
                    name in process.cmdline() for name in ("core.runner.supervisor", "core.jobs", "core.training")
                ):
                    sizes.append(process.memory_info().rss)
        return sum(sizes)


@dataclass
class Measured:
    """What was measured while a phase went on."""

    pages: list[float] = field(default_factory=list)
    requests: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)


class Browser:
    """One tab of a person's: a socket, and a client for what pages fetch."""

    def __init__(self, lab: Lab, person: str) -> None:
        self.lab = lab
        self.cookies = lab.cookies(person)
        self.client = httpx.AsyncClient(base_url=lab.address, cookies=self.cookies, timeout=120)
        self.pictures: list[str] = []
        self.session = ""

    async def open(self) -> None:
        """Open the socket."""
        self.socket = await websockets.connect(
            self.lab.address.replace("http", "ws") + "/_stcore/stream",
            additional_headers={"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())},
            origin=self.lab.address,
            subprotocols=["streamlit", self.cookies[XSRF]],
            max_size=None,
            open_timeout=120,
        )

    async def send_page(self, page: str, query: str = "") -> None:
        """Ask for a page."""
        message = BackMsg(rerun_script=ClientState(page_name=page, query_string=query))
        await self.socket.send(message.SerializeToString())

    async def read_page(self) -> None:
        """Read until the page's script has ended."""
        while True:
            data = await self.socket.recv()
            message = ForwardMsg.FromString(data)
            kind = message.WhichOneof("type")
            if kind == "new_session":
                self.session = message.new_session.initialize.session_id or self.session
            elif kind == "script_finished" and message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                return
            elif found := PICTURE.findall(data):
                self.pictures = [each.decode() for each in found][-8:]

    async def fetch(self, address: str) -> httpx.Response:
        """Fetch what a page shows; again on a connection that the server had just closed, as browsers do."""
        try:
            return await self.client.get(address)
        except (httpx.RemoteProtocolError, httpx.ReadError):
            return await self.client.get(address)

    async def upload(self, data: bytes) -> int:
        """Upload a picture as the widget does; returns the status."""
        request = FileURLsRequest(request_id=secrets.token_hex(4), file_names=["mine.png"], session_id=self.session)
        message = BackMsg(file_urls_request=request)
        await self.socket.send(message.SerializeToString())
        while True:
            answer = ForwardMsg.FromString(await asyncio.wait_for(self.socket.recv(), 120))
            if answer.WhichOneof("type") == "file_urls_response":
                break
        target = answer.file_urls_response.file_urls[0].upload_url
        headers = {"X-Xsrftoken": self.cookies[XSRF], "Origin": self.lab.address}
        return (await self.client.put(target, files={"file": ("mine.png", data)}, headers=headers)).status_code

    async def close(self) -> None:
        """Close socket and client."""
        with suppress(Exception):
            await self.socket.close()
        await self.client.aclose()


async def visit(lab: Lab, person: str, dice: int, until: float, measured: Measured) -> None:
    """Walk through the pages as one person, and note what each takes."""
    browser = Browser(lab, person)
    await asyncio.sleep(dice % 10 / 10 * PAUSE)
    await browser.open()
    both = "&".join(f"runs={run}" for run in lab.runs)
    walk = [("", ""), ("runs", both), ("compare", both), ("data", ""), ("scores", both), ("train", "")]
    step = dice
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            await browser.send_page(*walk[step % len(walk)])
            await asyncio.wait_for(browser.read_page(), 120)
            measured.pages.append(time.monotonic() - began)
            addresses = [f"/lab/metrics/{run}?offset=0" for run in lab.runs] + browser.pictures[:4]
            began = time.monotonic()
            for answer in await asyncio.gather(*map(browser.fetch, addresses)):
                if answer.status_code != 200:
                    measured.failures[f"{answer.status_code} {answer.url.path[:12]}"] += 1
            measured.requests.append(time.monotonic() - began)
            if step % 12 == 11 and (status := await browser.upload(secrets.token_bytes(100_000))) not in (200, 204):
                measured.failures[f"{status} upload"] += 1
        except (OSError, TimeoutError, httpx.HTTPError, websockets.WebSocketException) as error:
            measured.failures[type(error).__name__] += 1
            with suppress(Exception):
                await browser.open()
        step += 1
        await asyncio.sleep(PAUSE)
    await browser.close()


async def flood(lab: Lab, until: float, sent: Counter[str]) -> None:
    """Ask for all that one account can ask for, without a pause."""

    async def pages() -> None:
        browser = Browser(lab, FLOOD)
        try:
            await browser.open()
            reading = asyncio.create_task(drain(browser))
            while time.monotonic() < until:
                await browser.send_page("scores", "&".join(f"runs={run}" for run in lab.runs))
                sent["pages asked for"] += 1
                await asyncio.sleep(0.02)
            reading.cancel()
        except (OSError, TimeoutError, websockets.WebSocketException):
            sent["sockets refused"] += 1
        await browser.close()

    async def drain(browser: Browser) -> None:
        with suppress(websockets.WebSocketException):
            while True:
                await browser.socket.recv()

    async def fetches() -> None:
        browser = Browser(lab, FLOOD)
        while time.monotonic() < until:
            with suppress(httpx.HTTPError):
                answer = await browser.client.get(f"/lab/metrics/{lab.runs[0]}?offset=0")
                sent[f"fetches answered {answer.status_code}"] += 1
                await asyncio.sleep(0.05 if answer.status_code == 429 else 0)
        await browser.close()

    async def uploads() -> None:
        browser = Browser(lab, FLOOD)
        with suppress(OSError, TimeoutError, httpx.HTTPError, websockets.WebSocketException):
            await browser.open()
            await browser.send_page("inspect")
            await browser.read_page()
            while time.monotonic() < until:
                sent[f"uploads answered {await browser.upload(bytes(15_000_000))}"] += 1
                await asyncio.sleep(0.1)
        await browser.close()

    await asyncio.gather(*(pages() for _ in range(25)), *(fetches() for _ in range(40)), *(uploads() for _ in range(2)))


async def measure(lab: Lab, people: int, minutes: float) -> dict[str, Measured]:
    """Let people work, a minute without the flood and a minute with it, in turn."""
    results = {"calm": Measured(), "flood": Measured()}
    sent: Counter[str] = Counter()
    largest = 0
    for turn in range(2 * max(1, round(minutes))):
        phase = ("calm", "flood")[turn % 2]
        until = time.monotonic() + 60 * min(1.0, minutes)
        tasks = [
            asyncio.create_task(visit(lab, f"person{index}@example.org", index + turn, until, results[phase]))
            for index in range(people)
        ]
        queues = None
        if phase == "flood":
            tasks.append(asyncio.create_task(flood(lab, until, sent)))
            environment = os.environ | {"SEGLAB_USER": FLOOD}
            run = Path(os.environ["SEGLAB_CHECKPOINTS"]) / lab.runs[0]
            queues = subprocess.Popen([sys.executable, "-c", FILLS_QUEUES, str(run)], cwd=ROOT, env=environment)
        while time.monotonic() < until:
            await asyncio.sleep(2)
            largest = max(largest, lab.nbytes())
        await asyncio.gather(*tasks)
        if queues:
            queues.kill()
            queues.wait()
    print(f"the flood: {', '.join(f'{count:,} {what}' for what, count in sorted(sent.items()))}")
    print(f"the server's largest size with its processes: {format_bytes(largest)}")
    return results


def start(folder: Path) -> Lab:
    """Lay a lab into a folder and start its server."""
    os.environ |= {
        "SEGLAB_CHECKPOINTS": str(folder / "runs"),
        "SEGLAB_DATA": str(folder / "data"),
        "SEGLAB_DATA_ROOTS": str(folder / "data"),
        "SEGLAB_WEIGHTS": str(folder / "weights"),
    }
    write_streets(folder / "data" / "streets", train=16, val=8, size=(128, 256), seed=0)
    runs = []
    for seed in (0, 1):
        wish = {
            "dataset": {"name": "streets", "height": 128, "width": 256},
            "model": {"family": "unet", "encoder": "plain", "weights": "none", "width": 4},
            "training": {
                "minutes": 0,
                "epochs": 12,
                "batch_size": 4,
                "crop_height": 64,
                "crop_width": 128,
                "seed": seed,
            },
        }
        runs.append(runner.launch(read_config(wish), folder / "runs"))
    while any(read_run(run).is_active for run in runs):
        time.sleep(0.5)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address, secret = f"http://127.0.0.1:{port}", secrets.token_hex(32)
    toml = folder / "secrets.toml"
    toml.touch(0o600)
    toml.write_text(
        f'[auth]\nredirect_uri = "{address}/oauth2callback"\ncookie_secret = "{secret}"\nclient_id = "lab"\n'
        'client_secret = "x"\nserver_metadata_url = "http://127.0.0.1:9/none"\n'
    )
    command = ["-m", "streamlit", "run", "app/main.py", "--server.port", str(port), "--server.headless", "true"]
    command += ["--secrets.files", str(toml)]
    with open(folder / "server.log", "wb") as log:
        server = subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=log, stderr=log)
    for _ in range(600):
        with suppress(httpx.HTTPError):
            if httpx.get(f"{address}/_stcore/health").status_code == 200:
                return Lab(address, secret, [run.name for run in runs], psutil.Process(server.pid))
        time.sleep(0.1)
    raise SystemExit((folder / "server.log").read_text())


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=30)
    parser.add_argument("--minutes", type=float, default=10, help="of the flood; as many go on without it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="seglab-load-", ignore_cleanup_errors=True) as name:
        lab = start(Path(name))
        try:
            results = asyncio.run(measure(lab, options.people, options.minutes))
        finally:
            lab.server.kill()
            for run in Path(name, "runs").glob("2*"):
                with suppress(Exception):
                    runner.stop_now(run, patience=0)
        log = Path(name, "server.log").read_text(errors="replace")
    for phase, measured in results.items():
        median = statistics.median(measured.pages)
        slow = sorted(measured.pages)[int(0.95 * len(measured.pages))]
        fetch = statistics.median(measured.requests)
        print(
            f"{phase}: {len(measured.pages):,} pages, median {median:.2f} s, 95 % within {slow:.2f} s; fetches of a"
            f" page {fetch:.2f} s; failed: {dict(measured.failures) or 'none'}"
        )
    ratio = statistics.median(results["flood"].pages) / statistics.median(results["calm"].pages)
    print(f"tracebacks in the server's log: {log.count('Traceback')}")
    if "Traceback" in log:
        print(log[log.index("Traceback") :][-6000:], file=sys.stderr)
    print(f"ratio: {ratio:.2f}")


if __name__ == "__main__":
    main()

"""No one holds up the others: what one person may have at a time, seen from the requests and sockets that arrive."""

import asyncio
import threading
import time

import pytest

from app import fair_share
from app.fair_share import (
    MAX_BURST,
    MAX_REQUESTS,
    MAX_RUNNING,
    MAX_SOCKETS,
    MAX_WAITING,
    FairShareMiddleware,
    page_slot,
)
from core.auth import User


@pytest.fixture
def people(monkeypatch):
    """Requests say in their path who asks."""
    monkeypatch.setattr(fair_share, "must_sign_in", lambda: True)
    monkeypatch.setattr(fair_share, "has_sign_in_cookie", lambda connection: connection.scope["path"] != "/stranger")
    monkeypatch.setattr(fair_share, "requester", lambda connection: User(connection.scope["path"], ""))


def scope(person, kind="http"):
    return {"type": kind, "path": person, "headers": [], "method": "GET"}


async def nothing():
    return {"type": "http.request", "body": b""}


class Server:
    """An app that answers once it may."""

    def __init__(self):
        self.open, self.most, self.ready = 0, 0, asyncio.Event()

    async def __call__(self, _scope, _receive, send):
        self.open += 1
        self.most = max(self.most, self.open)
        await self.ready.wait()
        self.open -= 1
        await send({"type": "http.response.start", "status": 200, "headers": []})


async def ask(app, person, answers):
    async def send(message):
        if message["type"] == "http.response.start":
            answers.append(message["status"])

    await app(scope(person), nothing, send)


def test_one_person_waits_and_another_does_not(people):
    async def play():
        server, mine, theirs = Server(), [], []
        app = FairShareMiddleware(server)
        flood = [asyncio.create_task(ask(app, "/flood", mine)) for _ in range(MAX_WAITING + 30)]
        await asyncio.sleep(0.05)
        assert server.open == MAX_REQUESTS and mine == [429] * 30
        other = asyncio.create_task(ask(app, "/ann", theirs))
        await asyncio.sleep(0.05)
        assert server.open == MAX_REQUESTS + 1, "another person's request is answered beside them"
        server.ready.set()
        await asyncio.gather(*flood, other)
        assert theirs == [200] and mine.count(200) == MAX_WAITING and server.most == MAX_REQUESTS + 1
        await ask(app, "/flood", mine)
        assert mine[-1] == 200, "who waited is let in again"

    asyncio.run(play())


def test_a_stranger_does_not_close_the_way_to_sign_in_for_others(people):
    async def play():
        server, answers = Server(), []
        app = FairShareMiddleware(server)
        tasks = [asyncio.create_task(ask(app, "/stranger", answers)) for _ in range(MAX_WAITING + 2 * MAX_REQUESTS)]
        await asyncio.sleep(0.05)
        assert server.open == len(tasks)
        server.ready.set()
        await asyncio.gather(*tasks)
        assert set(answers) == {200}

    asyncio.run(play())


def test_without_sign_in_nobody_is_bounded(monkeypatch):
    monkeypatch.setattr(fair_share, "must_sign_in", lambda: False)

    async def play():
        server, answers = Server(), []
        app = FairShareMiddleware(server)
        tasks = [asyncio.create_task(ask(app, "/x", answers)) for _ in range(3 * MAX_REQUESTS)]
        await asyncio.sleep(0.05)
        assert server.open == 3 * MAX_REQUESTS
        server.ready.set()
        await asyncio.gather(*tasks)

    asyncio.run(play())


def test_sockets_are_counted_and_clicks_are_paced(people, monkeypatch):
    waits = []
    real = asyncio.sleep

    async def sleep(seconds):
        waits.append(seconds)
        await real(0)

    async def play():
        closed, taken, end = [], [], asyncio.Event()

        async def server(_scope, receive, _send):
            for _ in range(int(MAX_BURST) + 4):
                taken.append(await receive())
            await end.wait()

        async def send(message):
            closed.append(message["type"])

        async def click():
            return {"type": "websocket.receive", "bytes": b"x"}

        app = FairShareMiddleware(server)
        monkeypatch.setattr(fair_share.asyncio, "sleep", sleep)
        first = asyncio.create_task(app(scope("/flood", "websocket"), click, send))
        while len(taken) < MAX_BURST + 4:
            await real(0.01)
        assert waits[: int(MAX_BURST)] == [0] * int(MAX_BURST) and waits[-1] > 0.5
        more = [asyncio.create_task(app(scope("/flood", "websocket"), click, send)) for _ in range(MAX_SOCKETS + 2)]
        await real(0.2)
        assert closed == ["websocket.close"] * 3, "so many pages, and no more"
        end.set()
        await asyncio.gather(first, *more)
        await app(scope("/flood", "websocket"), click, send)
        assert len(closed) == 3, "a page that was closed makes room"

    asyncio.run(play())


def test_pages_of_one_person_take_turns(people, monkeypatch):
    monkeypatch.setattr(fair_share, "current_user", lambda: User(threading.current_thread().name, ""))
    running, most, lock, ready = {"ann": 0, "bob": 0}, {"ann": 0, "bob": 0}, threading.Lock(), threading.Event()

    def draw():
        name = threading.current_thread().name
        with page_slot():
            with lock:
                running[name] += 1
                most[name] = max(most[name], running[name])
            ready.wait(10)
            with lock:
                running[name] -= 1

    threads = [threading.Thread(target=draw, name=name) for name in ("ann",) * 6 + ("bob",)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 10
    while running != {"ann": MAX_RUNNING, "bob": 1} and time.monotonic() < deadline:
        time.sleep(0.01)
    assert running == {"ann": MAX_RUNNING, "bob": 1}
    ready.set()
    for thread in threads:
        thread.join(10)
    assert most == {"ann": MAX_RUNNING, "bob": 1} and running == {"ann": 0, "bob": 0}


def test_a_page_that_fails_gives_its_turn_back(people, monkeypatch):
    monkeypatch.setattr(fair_share, "current_user", lambda: User("failing", ""))
    for _ in range(MAX_RUNNING + 2):
        with pytest.raises(ValueError), page_slot():
            raise ValueError

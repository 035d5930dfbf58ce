"""Maps that are made when they are fetched: asked for once, forgotten in time, and a sentence where it goes wrong."""

import asyncio
import json
from concurrent.futures import Future

import numpy as np
import pytest
from starlette.requests import Request
from starlette.responses import Response

import app.lazy_maps as lazy_module
import app.routes as routes
from app.lazy_maps import LazyMaps, Question
from core.errors import LabError
from core.inference.prediction_cache import UncertaintyMaps
from core.inference.tta import QUICK, WHOLE

FOUND = UncertaintyMaps(b"entropy of it", b"classes of it")


class Network:
    """Answers when it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[tuple[Question, np.ndarray]] = []
        self.responses: list[Future[UncertaintyMaps]] = []

    def __call__(self, question: Question, image: np.ndarray) -> "Future[UncertaintyMaps]":
        self.requests.append((question, image))
        self.responses.append(Future())
        return self.responses[-1]


def question(tmp_path, user: str = "a", options=WHOLE) -> Question:
    return Question(tmp_path / "run", "1", options, user, f"tab of {user}")


def name_of(address: str) -> str:
    return address.split("/")[3]


@pytest.fixture
def image() -> np.ndarray:
    return np.zeros((10, 20, 3), np.uint8)


def test_nothing_is_asked_before_it_is_wanted_and_then_once(tmp_path, image) -> None:
    network = Network()
    maps = LazyMaps(network)
    entropy, likeliest = maps.addresses(question(tmp_path), image, "x")
    assert not network.requests and name_of(entropy) == name_of(likeliest)
    first, second = maps.ask(name_of(entropy)), maps.ask(name_of(likeliest))
    assert first is second and len(network.requests) == 1 and network.requests[0][0] == question(tmp_path)
    network.responses[0].set_result(FOUND)
    assert maps.ask(name_of(entropy)) is not first, "an answer isn't held: the disk has it"
    assert maps.ask("0" * 40) is None


def test_addresses_follow_question_and_picture(tmp_path, image) -> None:
    maps = LazyMaps(Network())
    one = maps.addresses(question(tmp_path), image, "x")
    assert one == maps.addresses(question(tmp_path), image, "x")
    others = [
        maps.addresses(question(tmp_path), image, "y"),
        maps.addresses(question(tmp_path, user="b"), image, "x"),
        maps.addresses(question(tmp_path, options=QUICK), image, "x"),
    ]
    assert len({one, *others}) == 4


def test_the_pictures_longest_unseen_go_when_room_is_short(tmp_path, image) -> None:
    maps = LazyMaps(Network(), budget=2 * image.nbytes)
    names = [name_of(maps.addresses(question(tmp_path), image, digest)[0]) for digest in ("x", "y")]
    maps.addresses(question(tmp_path), image, "x")  # seen again: y is now the older one
    names.append(name_of(maps.addresses(question(tmp_path), image, "z")[0]))
    assert [maps.ask(name) is not None for name in names] == [True, False, True]


def test_the_questions_about_one_picture_have_a_limit_too(tmp_path, image, monkeypatch) -> None:
    monkeypatch.setattr(lazy_module, "MAX_QUESTIONS", 2)
    maps = LazyMaps(Network())
    names = [name_of(maps.addresses(question(tmp_path, user), image, "x")[0]) for user in "abac"]
    assert [maps.ask(name) is not None for name in names] == [True, False, True, True]


def test_the_route_answers_bytes_or_a_sentence(tmp_path, image, monkeypatch) -> None:
    given: list[Future[UncertaintyMaps]] = []
    maps = LazyMaps(lambda *_: given.pop(0))
    monkeypatch.setattr(routes, "lazy_maps", lambda: maps)

    def fetched(name: str, kind: str) -> Response:
        return asyncio.run(routes.uncertainty(Request({"type": "http", "path_params": {"name": name, "kind": kind}})))

    name = name_of(maps.addresses(question(tmp_path), image, "x")[0])
    for outcome in (FOUND, FOUND, LabError("Out of memory. Take a smaller picture."), None):
        given.append(Future())
        if outcome is None:
            given[-1].cancel()
        elif isinstance(outcome, LabError):
            given[-1].set_exception(outcome)
        else:
            given[-1].set_result(outcome)
    replies = [fetched(name, kind) for kind in ("entropy", "likeliest", "entropy", "likeliest")]
    assert [reply.status_code for reply in replies] == [200, 200, 503, 409]
    assert [reply.body for reply in replies[:2]] == [FOUND.entropy, FOUND.likeliest]
    assert json.loads(replies[2].body) == {"error": "Out of memory. Take a smaller picture."}
    assert "immutable" in replies[0].headers["cache-control"] and "cache-control" not in replies[2].headers
    for wrong in (("0" * 40, "entropy"), (name, "labels"), ("../x", "entropy")):
        assert fetched(*wrong).status_code == 404

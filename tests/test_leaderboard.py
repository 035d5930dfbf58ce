"""The leaderboard: who stands beside whom, what is stale, and who can't be had better at no higher cost."""

import shutil

import pytest

from core.runs import read_run
from core.scorecards.card import CardSettings, read_card
from core.scorecards.leaderboard import METRICS, frontier, leaderboard
from core.scorecards.making import make_card


@pytest.fixture
def runs(places, trained_run):
    """The same finished run three times."""
    paths = [places.runs / f"{trained_run.name[:-4]}{number:04}" for number in range(3)]
    for path in paths:
        shutil.copytree(trained_run, path)
    return [read_run(path) for path in paths]


def test_runs_scored_otherwise_stand_apart_and_unscored_ones_show_their_own_score(runs):
    plain = make_card(runs[0], CardSettings())
    make_card(runs[1], CardSettings(boundary=False))
    make_card(runs[1], CardSettings(flip=True, boundary=False))
    boards = leaderboard(runs)
    assert [(board.is_scored, [entry.run for entry in board.entries]) for board in boards] == [
        (True, [runs[0].id, runs[1].id]),
        (True, [runs[1].id]),
        (False, [runs[2].id]),
    ]
    assert boards[0].words == (
        "Generated streets at 128 x 64, 4 validation frames, at the training size, whole picture"
    )
    assert boards[1].words.endswith("mirrored too") and boards[2].words.endswith("in training")
    scored, unscored = boards[0].entries[0], boards[2].entries[0]
    card = read_card(plain)
    assert set(scored.scores) == set(METRICS)
    assert scored.scores["miou"] == card.scores.miou == pytest.approx(unscored.scores["miou"], abs=1e-9)
    assert scored.scores["category_miou"] == card.scores.category_miou
    assert scored.scores["ece"] == card.scores.calibration.error
    assert scored.scores["mean_accuracy"] == card.scores.mean_accuracy
    assert scored.costs["parameters"] == unscored.costs["parameters"] == card.facts.parameters / 1e6
    assert scored.costs["minutes"] > 0 and scored.costs["flops"] == card.facts.flops / 1e9
    assert unscored.facts is None and unscored.scores["pixel_accuracy"] is None


def test_a_run_that_was_trained_on_is_stale_until_it_is_scored_again(runs):
    make_card(runs[0], CardSettings())
    assert not leaderboard(runs[:1])[0].entries[0].is_stale
    state = runs[0].path / "best" / "state.json"
    state.write_text(state.read_text() + " ")
    assert leaderboard(runs[:1])[0].entries[0].is_stale
    make_card(runs[0], CardSettings(boundary=False))
    (board,) = leaderboard(runs[:1])
    assert not board.entries[0].is_stale, "a card of these weights goes before one with boundaries"


def test_nothing_to_show_is_no_board(places, tmp_path):
    assert leaderboard([]) == []
    (places.runs / "20200101-000000-fcn-0000").mkdir()
    assert leaderboard([read_run(places.runs / "20200101-000000-fcn-0000")]) == []


def test_the_frontier_holds_who_is_better_than_all_that_are_cheaper():
    points = {"a": (1.0, 0.5), "b": (2.0, 0.4), "c": (3.0, 0.6), "d": (3.0, 0.55), "e": (9.0, 0.6)}
    assert frontier(points) == ["a", "c"]
    assert frontier({}) == []

"""What a report claims: no leader where there is none, no speed across machines, no class that nobody showed."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from core.config import read_config
from core.labels import CITYSCAPES_7
from core.report.material import Group, Material, Subject
from core.report.phrases import plain_words
from core.report.sections.conclusions import conclusions
from core.report.sections.results import results
from core.report.settings import ReportSettings
from core.report.structure import Figure, Paragraph, Table
from core.runs import Run, Status
from core.scorecards.card import CardFacts, CardSettings, ScoreCard
from core.scoring.bootstrap import ENOUGH, compare
from core.scoring.protocol import protocol_of
from core.scoring.scores import Scores, Tally

RULES = protocol_of(CITYSCAPES_7)
NAMES = list(RULES.names)
CLASSES = len(NAMES)
FILE = "scores/a.json"


def scores(wrong, frames=ENOUGH, shown=CLASSES, moved=()):
    """Of frames with 1000 pixels of each shown class, `wrong` of which are taken for the next; `moved` are (true, taken for, pixels)."""
    confusion = np.zeros((CLASSES, CLASSES + 1), np.int64)
    for row in range(shown):
        confusion[row, row] = 1000 - wrong
        confusion[row, (row + 1) % shown] = wrong
    for row, column, pixels in moved:
        confusion[row, row] -= pixels
        confusion[row, column] += pixels
    return Scores(RULES, tuple(Tally(f"{number:02}", "", confusion) for number in range(frames)))


def facts(name, **changes):
    settings = changes.pop("settings", CardSettings())
    made = CardFacts(
        name, settings, 10, "w", "d", "streets", (64, 64), ENOUGH, 0.0, 1.0, 10.0, "One laptop", 1000, 2000, 8, 0.9
    )  # fmt: skip
    return replace(made, **changes)


def subject(label, found, config=None, plan=None, files=None, robustness=None, state="finished", **changes):
    """A run with these scores, or without a card where there are none."""
    config = read_config(config or {})
    run = Run(
        Path(label), Status(state, 0.0), config, plan={"classes": NAMES, "class_pixels": [100] * CLASSES} | (plan or {})
    )
    files = {"config.json": config.model_dump(mode="json"), "plan.json": run.plan, "eval": [], "train": []} | (
        files or {}
    )
    one = Subject(run, label, "#000000", files)
    if found is not None:
        card = ScoreCard(facts(label, **changes), found)
        files[FILE] = {"facts": asdict(card.facts), "scores": found.to_json()}
        one = replace(one, card=card, card_file=FILE)
    if robustness:
        files["scores/robustness-a.json"] = asdict(robustness)
        one = replace(one, robustness=robustness, robustness_file="scores/robustness-a.json")
    return one


def material(*subjects):
    pairs = [(one, other) for one in range(len(subjects)) for other in range(one + 1, len(subjects))]
    compared = {
        (one, other): compare(subjects[one].card.scores, subjects[other].card.scores)
        for one, other in pairs
        if subjects[one].card and subjects[other].card
    }
    group = Group(1, subjects, compared)
    return Material(ReportSettings(tuple(one.label for one in subjects)), (group,), (), (), {}, "", 0.0)


def said(section, *subjects):
    blocks = [block for part in section(material(*subjects)) for block in part.blocks]
    words = [plain_words(block.text) for block in blocks if isinstance(block, Paragraph)]
    words += [plain_words(block.caption) for block in blocks if isinstance(block, (Table, Figure))]
    return " ".join(words).replace("\N{NO-BREAK SPACE}", " ")


def table(name, *subjects):
    return next(
        block
        for part in results(material(*subjects))
        for block in part.blocks
        if isinstance(block, Table) and block.id == name
    )


def test_a_few_frames_are_said_to_be_too_few():
    few = [subject(name, scores(wrong, frames=3)) for name, wrong in (("A", 100), ("B", 300))]
    words = said(conclusions, *few)
    assert "is better" not in words and "A can't be told apart from B" in words and "20 frames or more" in words
    assert "fewer than 20 frames" in said(results, *few)
    many = [subject(name, scores(wrong)) for name, wrong in (("A", 100), ("B", 300))]
    words = said(conclusions, *many)
    assert "On these frames A is better than B" in words and "20 frames or more" not in words


def test_a_class_that_is_nowhere_makes_nobody_better_and_was_not_missed():
    shown = CLASSES - 1
    one = scores(100, shown=shown)
    # The other is better, but takes four pixels for what no frame shows.
    other = scores(90, shown=shown, moved=[(0, shown, 4)])
    assert one.miou > other.miou
    words = said(conclusions, subject("A", one), subject("B", other))
    assert "A is better" not in words and "hardly learned" not in words
    assert (
        f"No frame shows {NAMES[-1]}" in words
        and "that the frames show, B (" in words
        and ") is better than A." in words
    )
    assert f"No frame shows {NAMES[-1]}" in said(results, subject("A", one), subject("B", other))
    missed = scores(100, moved=[(0, 1, 900)])
    assert f"A has hardly learned {NAMES[0]}" in said(conclusions, subject("A", missed))


def test_a_class_that_no_evaluation_saw_was_not_missed():
    row = {"step": 5, "miou": 0.5, "iou": [0.0, 0.0] + [0.7] * (CLASSES - 2), "truth": [0.0] + [0.1] * (CLASSES - 1)}
    words = said(conclusions, subject("A", None, files={"eval": [row]}))
    assert f"has hardly learned {NAMES[1]}:" in words

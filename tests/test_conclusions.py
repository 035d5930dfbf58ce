"""What a report claims: no leader where there is none, no speed across machines, no class that nobody showed."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from core.config import read_config
from core.evaluation.bootstrap import ENOUGH, compare
from core.evaluation.metrics.protocol import protocol_of
from core.evaluation.metrics.scores import ImageStatistics, Scores
from core.evaluation.results import EvaluationResult, EvaluationSettings, ResultMetadata, RobustnessResult
from core.labels import CITYSCAPES_7
from core.report.phrases import plain_text
from core.report.report_data import Group, ReportData, RunSummary
from core.report.sections.conclusions import conclusions
from core.report.sections.introduction import introduction
from core.report.sections.methodology import methodology
from core.report.sections.reflections import reflections
from core.report.sections.results import _curves, results
from core.report.settings import ReportSettings
from core.report.structure import Figure, Paragraph, Table
from core.runs.status import Status
from core.runs.store import Run

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
    return Scores(RULES, tuple(ImageStatistics(f"{index:02}", "", confusion) for index in range(frames)))


def metadata(name, **changes):
    settings = changes.pop("settings", EvaluationSettings())
    made = ResultMetadata(
        name, settings, 10, "w", "d", "streets", (64, 64), ENOUGH, 0.0, 1.0, 10.0, "One laptop", 1000, 2000, 8, 0.9, timed=20
    )  # fmt: skip
    return replace(made, **changes)


def summary(label, outcome, config=None, plan=None, files=None, robustness=None, state="finished", **changes):
    """A run with these scores, or without a card where there are none."""
    config = read_config(config or {})
    run = Run(
        Path(label), Status(state, 0.0), config, plan={"classes": NAMES, "class_pixels": [100] * CLASSES} | (plan or {})
    )
    files = {"config.json": config.model_dump(mode="json"), "plan.json": run.plan, "eval": [], "train": []} | (
        files or {}
    )
    one = RunSummary(run, label, "#000000", files)
    if outcome is not None:
        result = EvaluationResult(metadata(label, **changes), outcome)
        files[FILE] = {"metadata": asdict(result.metadata), "scores": outcome.to_json()}
        one = replace(one, result=result, result_file=FILE)
    if robustness:
        files["scores/robustness-a.json"] = json.loads(json.dumps(asdict(robustness)))
        one = replace(one, robustness=robustness, robustness_file="scores/robustness-a.json")
    return one


def data(*summaries):
    pairs = [(one, other) for one in range(len(summaries)) for other in range(one + 1, len(summaries))]
    compared = {
        (one, other): compare(summaries[one].result.scores, summaries[other].result.scores)
        for one, other in pairs
        if summaries[one].result and summaries[other].result
    }
    group = Group(1, summaries, compared)
    return ReportData(ReportSettings(tuple(one.label for one in summaries)), (group,), (), (), {}, "", 0.0)


def concluded(*summaries):
    return printed(conclusions(data(*summaries)))


def printed(sections):
    blocks = [block for part in sections for block in part.blocks]
    text = [plain_text(block.text) for block in blocks if isinstance(block, Paragraph)]
    text += [plain_text(block.caption) for block in blocks if isinstance(block, (Table, Figure))]
    return " ".join(text).replace("\N{NO-BREAK SPACE}", " ")


def block(sections, name):
    return next(block for part in sections for block in part.blocks if getattr(block, "id", "") == name)


def test_a_few_frames_are_said_to_be_too_few():
    few = [summary(name, scores(wrong, frames=3)) for name, wrong in (("A", 100), ("B", 300))]
    text = concluded(*few)
    assert "is better" not in text and "A can't be told apart from B" in text and "20 frames or more" in text
    assert "fewer than 20 frames" in printed(results(data(*few)))
    many = [summary(name, scores(wrong)) for name, wrong in (("A", 100), ("B", 300))]
    text = concluded(*many)
    assert "On these frames A is better than B" in text and "20 frames or more" not in text


def test_a_class_that_is_nowhere_makes_nobody_better_and_was_not_missed():
    shown = CLASSES - 1
    one = scores(100, shown=shown)
    # The other is better, but takes four pixels for what no frame shows.
    other = scores(90, shown=shown, moved=[(0, shown, 4)])
    assert one.miou > other.miou
    text = concluded(summary("A", one), summary("B", other))
    assert "A is better" not in text and "hardly learned" not in text
    assert (
        f"No frame shows {NAMES[-1]}" in text and "that the frames show, B (" in text and ") is better than A." in text
    )
    assert f"No frame shows {NAMES[-1]}" in printed(results(data(summary("A", one), summary("B", other))))
    missed = scores(100, moved=[(0, 1, 900)])
    assert f"A has hardly learned {NAMES[0]}" in concluded(summary("A", missed))


def test_a_class_that_no_evaluation_saw_was_not_missed():
    row = {"step": 5, "miou": 0.5, "iou": [0.0, 0.0] + [0.7] * (CLASSES - 2), "truth": [0.0] + [0.1] * (CLASSES - 1)}
    text = concluded(summary("A", None, files={"eval": [row]}))
    assert f"has hardly learned {NAMES[1]}:" in text


def test_times_of_different_machines_are_not_ranked():
    def runs(hardware):
        return (
            summary("A", scores(100), milliseconds=10.0, hardware="One laptop"),
            summary("B", scores(300), milliseconds=20.0, hardware=hardware),
        )

    def bold(result):
        cost = block(result, "cost")
        return [row[cost.columns.index("ms a frame")].best for row in cost.rows]

    alike, text = results(data(*runs("One laptop"))), concluded(*runs("One laptop"))
    assert "A is also the fastest" in text and "Beaten in both time" in text and bold(alike) == [True, False]
    assert "ms for one frame" in block(alike, "pareto").drawing.svg
    apart, text = results(data(*runs("A big server"))), concluded(*runs("A big server"))
    assert "fastest" not in text and "Beaten" not in text and bold(apart) == [False, False]
    assert "not all on the same hardware" in printed(apart)
    for disturbed in ({"disturbance": "a training went on"}, {"timed": 1}):
        beside = summary("A", scores(100), milliseconds=10.0, **disturbed), summary("B", scores(300), milliseconds=20.0)
        text = concluded(*beside)
        assert "fastest" not in text and "Beaten" not in text and bold(results(data(*beside))) == [False, False]
        assert "A was timed beside other work or too few times" in printed(results(data(*beside)))
    front = block(apart, "pareto")
    assert (
        "ms for one frame" not in front.drawing.svg
        and "parameters" in front.drawing.svg
        and "millisec" not in front.alt
    )


def test_corruptions_that_were_scored_otherwise_are_not_ranked():
    def corrupted(label, value, **settings):
        miou = {"none": {0: value}, "noise": dict.fromkeys(range(1, 6), value / 2)}
        result = RobustnessResult(
            metadata(label, settings=EvaluationSettings(frames=24, **settings), frames=24), 0, miou
        )
        return summary(label, scores(100), robustness=result)

    alike = results(data(corrupted("A", 0.6), corrupted("B", 0.5)))
    assert [cell.best for cell in block(alike, "corruptions").rows[0][1:]] == [True, False]
    assert "don't compare" not in printed(alike)
    apart = results(data(corrupted("A", 0.6), corrupted("B", 0.5, flip=True)))
    outcome = block(apart, "corruptions")
    assert not any(cell.best for row in outcome.rows for cell in row)
    caption = plain_text(outcome.caption)
    assert "24 frames" in caption and "mirrored too, 24 frames (B)" in caption
    assert "don't compare" in printed(apart)


def test_equal_runs_have_no_leader():
    equal = summary("A", scores(100)), summary("B", scores(100))
    text = concluded(*equal)
    assert "A and B have the same mean IoU to a tenth of a point, 81.8 %." in text
    assert "highest" not in text and "differ most" not in text
    assert "A and B have the same IoU in every class, to a tenth of a point." in text and "is ahead" not in text
    assert "No configuration was trained with more than one seed" in text and "trained once" not in text
    there = printed(results(data(*equal)))
    assert "A and B have the same mean IoU" in there and "highest mean IoU" not in there
    text = concluded(*equal, summary("C", scores(300)))
    assert "A and B have the highest mean IoU, the same to a tenth of a point, 81.8 %, before C (53.8 %)." in text


def test_seeds_are_counted_once():
    runs = [
        summary(name, scores(100 + folder), config={"training": {"seed": seed}})
        for folder, (name, seed) in enumerate((("A", 0), ("B", 0), ("C", 1)))
    ]
    assert "trained with two seeds" in concluded(*runs)


def test_the_most_frequent_confusion_is_that_of_most_pixels():
    # All of the rare class 1 is taken for 2; more pixels of the plentiful class 0 are taken for 3.
    confusion = np.zeros((CLASSES, CLASSES + 1), np.int64)
    np.fill_diagonal(confusion, 100)
    confusion[1, 1:3] = 0, 100
    confusion[0, 0], confusion[0, 3] = 5000, 500
    one = summary("A", Scores(RULES, (ImageStatistics("0", "", confusion),)))
    assert f"is {NAMES[0]} taken for {NAMES[3]}: 500 pixels, 9.1 % of those of {NAMES[0]}" in concluded(one)
    rows = [[plain_text(cell.text) for cell in row] for row in block(results(data(one)), "mistaken").rows]
    assert rows == [["A", NAMES[0], NAMES[3], "500", "9.1"], ["A", NAMES[1], NAMES[2], "100", "100.0"]]


def test_a_class_without_a_training_pixel_is_neither_rare_nor_frequent():
    pixels = [10_000, 10_000, 10, 0] + [10_000] * (CLASSES - 4)
    one = summary("A", scores(100, moved=[(3, 4, 900)]), plan={"class_pixels": pixels})
    result = one.result.scores.iou
    many = np.mean([result[folder] for folder in range(CLASSES) if folder not in (2, 3)])
    assert f"the others {100 * many:.1f} %" in concluded(one)


def test_the_truth_in_cells_is_no_limit():
    text = concluded(summary("A", scores(100)))
    assert "at most" not in text and "allow" not in text
    assert "would score 90.0 % in A's cells of 8 pixels (A reaches 90.9 % of that)." in text


def learned(steps, evaluations, **training):
    """A run of 60 planned steps that came so far."""
    rows = [{"step": steps * (folder + 1) // evaluations, "miou": 0.5, "minutes": 1.0} for folder in range(evaluations)]
    config = {"training": {"minutes": 0, "epochs": 20, "evaluations": 10} | training}
    name = f"run {steps}"
    files = {"eval": rows, "train": [{"step": steps, "loss": 1.0, "minutes": 1.0}]}
    return summary(name, scores(100), config, {"steps_total": 60}, files)


def test_how_long_and_how_often_is_what_was_done():
    text = printed(methodology(data(learned(60, 6), learned(24, 3, stop_early="miou"))))
    assert "was set to 20 passes through the training frames" in text and "gone through" not in text
    assert "run 24 stopped early, after 24 of 60 steps" in text and "run 60 stopped" not in text
    assert "Each run was scored 6 (run 60) and 3 (run 24) times" in text
    assert (
        "where the 95 % interval doesn't hold 0" in text
        and f"on {ENOUGH} frames or more" in text
        and "agree on its sign" not in text
    )


@pytest.mark.parametrize(
    "other",
    [
        {"second_loss": "dice"},
        {"second_loss": "dice", "second_loss_weight": 0.3},
        {"label_smoothing": 0.1},
        {"class_weights": "enet"},
    ],
)
def test_losses_with_other_terms_are_not_the_same(other):
    def caption(*configs):
        runs = [learned(60 - folder, 2, **config) for folder, config in enumerate(configs)]
        return plain_text(next(_curves(data(*runs).groups[0], "")).caption)

    assert "losses are not the same" in caption({"second_loss": "dice"} if "second_loss_weight" in other else {}, other)
    assert "losses are not the same" not in caption(other, other)
    assert "losses are not the same" not in caption({}, {"second_loss_weight": 0.3})  # of nothing


def test_a_report_says_that_neighbouring_frames_were_drawn_together():
    def video(wrong, seed):
        rng, frames = np.random.default_rng(seed), []
        for start in range(0, 60, 10):
            lost = int(wrong + rng.integers(-60, 60))
            frames += [replace(frame, id=f"v_{start + at:03}") for at, frame in enumerate(scores(lost, 10).frames)]
        return Scores(RULES, tuple(frames))

    runs = [summary(name, video(100, seed)) for seed, name in enumerate("AB")]
    text = printed(results(data(*runs))) + printed(methodology(data(*runs)))
    assert "Neighbouring frames were drawn together, in blocks of about 8." in text
    assert "taken for neighbours in a video" in text
    assert "too alike for so few of them" in text, "sixty frames of six scenes"
    alone = [summary("A", scores(100)), summary("B", scores(300))]
    assert "eighbour" not in printed(results(data(*alone))) + printed(methodology(data(*alone)))


@pytest.mark.parametrize(
    ("encoder", "weights", "is_told"),
    [
        ("resnet18", "Starts from pretrained weights, timm/resnet18.a1_in1k on the Hugging Face Hub at revision 1.", True),
        ("resnet18", "Starts from the weights in model.safetensors.", False),
        ("resnet18", "Starts from pretrained weights, someone/streets on the Hugging Face Hub at revision 1.", False),
        ("resnet50_clip", "Starts from pretrained weights, timm/resnet50_clip.openai on the Hugging Face Hub at 1.", False),
    ],
)  # fmt: skip
def test_imagenet_is_named_for_weights_that_learned_from_it_alone(encoder, weights, is_told):
    config = {"model": {"family": "fcn", "encoder": encoder}}
    text = printed(methodology(data(summary("A", scores(100), config, {"pretrained": True, "weights": weights}))))
    assert ("ImageNet" in text) == is_told


def of_data(name, cities):
    """A report's text about two runs on some data, and its table of splits."""
    config = {"dataset": {"name": name, "root": "/data/own"} if name == "folder" else {"name": name}}
    made = data(summary("A", scores(100), config), summary("B", scores(200), config))
    made = replace(made, groups=(replace(made.groups[0], cities=cities),))
    sections = [*introduction(made), *results(made), *reflections(made)]
    return printed(sections) + str(reflections(made)), block(sections, "splits")


def test_data_of_ones_own_are_no_streets_and_have_no_folders_where_there_are_none():
    text, splits = of_data("folder", {"train": {"": 8}, "val": {"": 4}})
    assert "street" not in text and "cit" not in text.lower().replace("capacity", "") and "folder" not in text
    assert splits.columns == ("split", "frames") and all(len(row) == 2 for row in splits.rows)
    text, splits = of_data("folder", {"train": {"": 2, "yard": 6}, "val": {"yard": 4}})
    assert splits.columns == ("split", "frames", "folders (frames)")
    assert plain_text(splits.rows[0][2].text) == "in no folder (2) and yard (6)"
    text, splits = of_data("streets", {"train": {"ulm": 8}, "val": {"bonn": 4}})
    assert "a photograph of a street" in text and splits.columns[2] == "cities (frames)"


def test_whole_sentences_that_differ_stand_one_after_the_other():
    plans = [{"weights": "Starts from scratch: every weight is random.", "hardware": "On the CPU."}] * 2
    plans.append({"weights": "Starts from the weights in a.safetensors.", "hardware": "On a GPU."})
    runs = [summary(label, scores(100), plan=plan) for label, plan in zip("ABC", plans, strict=True)]
    text = printed(methodology(data(*runs)))
    assert "A and B: Starts from scratch: every weight is random. C: Starts from the weights in a.safetensors. " in text
    assert "timm. A and B: On the CPU. C: On a GPU. " in text.replace(" .", ".") and ".." not in text


def test_the_method_says_how_fast_encoders_learn_and_over_which_frames_a_median_is_taken():
    """By the rules that each run began by: the first slowed down the ViT's family alone, and took all frames."""
    vit = {"model": {"family": "unet", "encoder": "vit_small_patch16_224"}, "training": {"class_weights": "median"}}
    convnext = {"model": {"family": "unet", "encoder": "convnext_tiny"}, "training": {"class_weights": "median"}}
    plans = {"pretrained": True, "rules": 2}, {"pretrained": True}
    runs = [
        summary(f"{name}{len(plan)}", None, config, plan)
        for name, config in (("V", vit), ("C", convnext))
        for plan in plans
    ]
    page = printed(methodology(data(*runs)))
    assert (
        "; the pretrained encoder learns at 0.01 of it (V2); the pretrained encoder learns at 0.05 of it (C2)" in page
    )
    assert ", its frequencies taken over all frames (V1, C1)." in page

"""Conclusions: only what the numbers support, in sentences made from them, each with the tables that it follows from.

They are a draft: what they mean is the author's to say.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from core.data.sources import SOURCES
from core.evaluation.bootstrap import ENOUGH, Comparison
from core.report.phrases import derived, joined, note, reprinted, spell_count, text
from core.report.report_data import COUNT, PERCENT, Group, NumberFormat, ReportData, RunSummary, each_once, escaped
from core.report.sections.introduction import rare_classes
from core.report.sections.methodology import steps_done
from core.report.sections.results import (
    compared_number,
    drop_number,
    leaders_text,
    repeats_number,
    share_of_upper_bound,
    worst_confusions,
)
from core.report.structure import Block, Paragraph, Part, Section, Text
from core.text import join_items

SIZE = NumberFormat(100, 1)
TIMES = NumberFormat(1, 1)
MILLISECONDS = NumberFormat(1, 0, "ms")
UNSEEN = 0.01
"""A class whose IoU is below this was hardly learned."""
UNEQUAL = 0.1
"""Runs that have seen more crops than others by more than this share were not trained alike."""
RISING = 0.01
"""A mean IoU that rose by more than this between the last two evaluations hasn't come to its end."""


def conclusions(data: ReportData) -> list[Section]:
    """Return the section, with a part for each group of runs where there are several."""
    draft = note(
        "Draft for the author: these sentences were made from the numbers by rule, and say no more than those support."
        " Judge them, keep what you stand for, and write what they mean."
    )
    if len(data.groups) == 1:
        return [Section("conclusions", "Conclusions", (draft, *_group(data, data.groups[0])))]
    parts = [
        Section(f"conclusions-{group.number}", f"Group {group.number}", tuple(_group(data, group)), level=2)
        for group in data.groups
    ]
    return [Section("conclusions", "Conclusions", (draft,)), *parts]


def _group(data: ReportData, group: Group) -> Iterator[Block]:
    if not group.scored:
        yield _draft("None of these runs has been scored, so there is nothing to conclude.")
        return
    rules: tuple[Callable[[Group, str], Iterator[Paragraph]], ...] = (
        _ranking,
        _seeds,
        _unequal,
        _classes,
        _rare,
        _confused,
        _cost,
        _upper_bound,
        _edges,
        _calibration,
        _robustness,
        _unfinished,
        _reach,
    )
    for rule in rules:
        yield from rule(group, data.suffix(group))


def _draft(*sentence: Part | Text | None, follows: Sequence[str] = ()) -> Paragraph:
    return Paragraph(text(*sentence), "draft", tuple(follows))


def _ranking(group: Group, suffix: str) -> Iterator[Paragraph]:
    """Say who is best, and against whom that is certain."""
    ranked = group.ranked
    best = ranked[0]
    behind = [text(summary.label, " (", summary.miou(PERCENT), ")") for summary in ranked[len(group.leaders) :]]
    yield _draft(leaders_text(group), ", before " if behind else "", joined(behind), ".", follows=[f"scores{suffix}"])
    compared = [f"significance-table{suffix}"]
    better: list[Text] = []
    worse: list[Text] = []
    equal: list[Text] = []
    unknown: list[str] = []
    uncounted: list[str] = []
    few = False
    for summary in ranked[1:]:
        pair = _pair(group, best, summary)
        if pair is None:
            unknown.append(summary.label)
            continue
        first, second, comparison = pair
        difference, spread, low, high = (
            compared_number(first, second, name, getattr(comparison, name))
            for name in ("difference", "spread", "low", "high")
        )
        sentence = text(
            summary.label, " (", replace(difference, text=difference.text.lstrip("+−")), " ± ", spread,
            " points, 95 % interval from ", low, " to ", high, ")",
        )  # fmt: skip
        if not comparison.is_certain:
            equal.append(sentence)
        else:
            (better if _is_better(group, best, summary) else worse).append(sentence)
        uncounted += comparison.uncounted
        few = few or comparison.frames < ENOUGH
    if uncounted:
        yield _draft(
            f"No frame shows {join_items(each_once(uncounted), 'or')}, which was predicted all the same: a run's mean"
            " IoU counts that as a class with an IoU of 0, the comparisons below leave it out.",
            follows=[f"iou{suffix}", *compared],
        )
    if better:
        yield _draft(f"On these frames {best.label} is better than ", joined(better), ".", follows=compared)
    if worse:
        verb = "is" if len(worse) == 1 else "are"
        yield _draft(
            "Over the classes that the frames show, ", joined(worse), f" {verb} better than {best.label}.", follows=compared
        )  # fmt: skip
    if equal:
        reason = (
            f": the frames are too few, {ENOUGH} frames or more would be needed."
            if few
            else ": on other frames of the same kind the order may turn."
        )
        yield _draft(f"{best.label} can't be told apart from ", joined(equal, "or"), reason, follows=compared)
    if unknown:
        yield _draft(
            f"Whether {best.label} is better than {join_items(unknown, 'or')} wasn't tested: they weren't scored frame"
            " by frame alike."
        )


def _pair(group: Group, one: RunSummary, other: RunSummary) -> tuple[RunSummary, RunSummary, Comparison] | None:
    first, second = sorted((group.summaries.index(one), group.summaries.index(other)))
    comparison = group.comparisons.get((first, second))
    return (group.summaries[first], group.summaries[second], comparison) if comparison else None


def _is_better(group: Group, one: RunSummary, other: RunSummary) -> bool:
    """Return True where that is certain."""
    pair = _pair(group, one, other)
    return pair is not None and pair[2].is_certain and (pair[2].difference > 0) == (pair[0] is one)


def _seeds(group: Group, suffix: str) -> Iterator[Paragraph]:
    """Say how much chance there is, from runs that differ in their seed alone; nothing without such runs."""
    twins: dict[str, list[RunSummary]] = {}
    for summary in group.scored:
        config = summary.config
        alike = config.model_copy(update={"training": config.training.model_copy(update={"seed": 0})})
        twins.setdefault(alike.model_dump_json(), []).append(summary)
    repeated = False
    for members in twins.values():
        seeds = len({summary.config.training.seed for summary in members})
        if seeds == 1:
            continue
        repeated = True
        low, high = (choose(members, key=lambda summary: summary.miou().value) for choose in (min, max))
        yield _draft(
            f"{members[0].config.model.title}, trained with {spell_count(seeds, 'seed')}, reaches from ", low.miou(PERCENT),
            " to ", high.miou(PERCENT), ": differences of that size between other runs may be chance.",
            follows=[f"scores{suffix}", "runs"],
        )  # fmt: skip
    for summary in group.summaries:
        for repeats in summary.repeats:
            if repeats.by == "seed":
                repeated = True
                yield _draft(
                    f"{summary.label}, trained with ", repeats_number(repeats, "count", COUNT), " seeds, comes to a mean IoU of ",
                    repeats_number(repeats, "mean", PERCENT), " ± ", repeats_number(repeats, "deviation", SIZE),
                    " points: differences of that size between other runs may be chance.",
                    follows=["runs"],
                )  # fmt: skip
    if repeated:
        return
    unknown = (
        "The intervals above hold for other frames, not for another training: how much a score depends on the seed is"
        " not known."
    )
    if len(group.scored) < 2:
        sentence = "It was trained once, with one seed: how much the score depends on chance is not known."
    elif any(len(members) > 1 for members in twins.values()):
        sentence = f"No configuration was trained with more than one seed. {unknown}"
    else:
        sentence = f"Each configuration was trained once, with one seed. {unknown}"
    yield _draft(sentence, follows=["runs"])


def _unequal(group: Group, suffix: str) -> Iterator[Paragraph]:
    """Say who has seen how many crops, where that differs: a network may be behind because it was trained less."""
    known = [(summary, steps) for summary in group.scored if (steps := steps_done(summary))]
    num_samples = [steps.value * summary.config.training.batch_size for summary, steps in known]
    if len(num_samples) > 1 and max(num_samples) > (1 + UNEQUAL) * min(num_samples):
        sentences = [
            text(f"{summary.label} ", steps, " steps of ", summary.number("config.json", "/training/batch_size"))
            for summary, steps in known
        ]
        yield _draft(
            "The runs have not learned from equally many crops: ", joined(sentences), ". A part of every difference may be that.",
            follows=["runs"],
        )  # fmt: skip


def _classes(group: Group, suffix: str) -> Iterator[Paragraph]:
    """Say who leads in how many classes, where the two best differ most, and what wasn't learned."""
    ranked, class_names = group.ranked, group.class_names
    if len(ranked) > 1:
        best, second = ranked[:2]
        pairs = []
        for index, name in enumerate(class_names):
            one, other = best.class_iou(index, name, PERCENT), second.class_iou(index, name, PERCENT)
            if one and other and _is_shown(best, index, name):
                pairs.append((one.value - other.value, name, one, other))
        unlike = [pair for pair in pairs if pair[2].text != pair[3].text]
        sentence: Text = (f"{best.label} and {second.label} have the same IoU in every class, to a tenth of a point.",)
        if unlike:
            ahead = sum(difference > 0 for difference, *_ in pairs)
            widest = max(unlike, key=lambda pair: abs(pair[0]))
            better = best if widest[0] > 0 else second
            sentence = text(
                f"{best.label} is ahead of {second.label} in {ahead} of {len(pairs)} classes; they differ most in {widest[1]}, where "
                f"{better.label} is ahead (", widest[2], f" for {best.label}, ", widest[3], f" for {second.label}).",
            )  # fmt: skip
        if pairs:
            yield _draft(sentence, follows=[f"iou{suffix}", f"bars{suffix}"])
    for summary in ranked:
        missed = [
            name
            for index, name in enumerate(class_names)
            if (number := summary.class_iou(index, name)) and number.value < UNSEEN and _is_shown(summary, index, name)
        ]
        if missed:
            yield _draft(
                f"{summary.label} has hardly learned {join_items(missed)}: the IoU is below one per cent.",
                follows=[f"iou{suffix}"],
            )


def _is_shown(summary: RunSummary, index: int, name: str) -> bool:
    """Return whether a pixel of the frames that a run was scored on is of a class."""
    if summary.result_file:
        return summary.result_value(f"/scores/recall/{escaped(name)}") is not None
    return bool(summary.read("eval", f"/{summary.best_evaluation}/truth/{index}"))


def _rare(group: Group, suffix: str) -> Iterator[Paragraph]:
    """Compare rare classes with the others, for the best run; of classes that the counted training frames show."""
    planned, best = group.planned, group.ranked[0]
    if planned is None:
        return
    rare = rare_classes(planned)
    values: dict[bool, list[float]] = {True: [], False: []}
    for index, name in enumerate(group.class_names):
        number = best.class_iou(index, name)
        if number and planned.read("plan.json", f"/class_pixels/{index}"):
            values[index in rare].append(number.value)
    if not values[True] or not values[False]:
        return
    where = f"{best.run.id}/{best.result_file or 'eval'}:{planned.run.id}"
    few, many = (
        derived(float(np.mean(values[kind])), PERCENT, f"{'rare' if kind else 'frequent'} {where}")
        for kind in (True, False)
    )
    yield _draft(
        f"The {spell_count(len(values[True]), 'class', 'classes')} of less than one per cent of the training pixels "
        f"{'reaches' if len(values[True]) == 1 else 'reach'} a mean IoU of ",
        few, f" with {best.label}, the others ", many, ".", follows=[f"iou{suffix}", f"shares{suffix}"],
    )  # fmt: skip


def _confused(group: Group, suffix: str) -> Iterator[Paragraph]:
    """Name the confusion that is most frequent in the best run."""
    best = next((summary for summary in group.ranked if summary.result), None)
    for pixels, share, (true, predicted) in worst_confusions(best)[:1] if best else []:
        yield _draft(
            f"The most frequent confusion of {best.label} is {true} taken for {predicted}: ", pixels, " pixels, ",
            reprinted(share, PERCENT), f" of those of {true}.", follows=[f"mistaken{suffix}", f"confusion{suffix}"],
        )  # fmt: skip


def _cost(group: Group, suffix: str) -> Iterator[Paragraph]:
    """Compare the fastest with the best, and name who is beaten in both, where times can be ranked."""
    known = group.having("/metadata/milliseconds")
    if len(known) < 2 or not group.is_timed_alike:
        return
    times = {summary.run.id: summary.score("/metadata/milliseconds", MILLISECONDS) for summary in known}
    fast = min(known, key=lambda summary: times[summary.run.id].value)
    best = max(known, key=lambda summary: summary.miou().value)
    shortest, longer = times[fast.run.id], times[best.run.id]
    cost = [f"cost{suffix}"]
    if fast is best:
        yield _draft(f"{best.label} is also the fastest, with ", longer, " for a frame.", follows=cost)
    elif shortest.text == longer.text:
        yield _draft(f"{best.label} and {fast.label} take the same time for a frame, ", longer, ".", follows=cost)
    else:
        files = f"{best.run.id}/{best.result_file} {fast.run.id}/{fast.result_file}"
        gain = best.miou().value - fast.miou().value
        yield _draft(
            f"{fast.label} is the fastest, with ", shortest, f" for a frame; {best.label} takes ", longer, ", ",
            derived(longer.value / shortest.value, TIMES, f"slower {files}:/metadata/milliseconds"), " times as long, for ",
            derived(gain, SIZE, f"less {files}:/scores/miou"), " points more of mean IoU.",
            follows=[*cost, f"pareto{suffix}"],
        )  # fmt: skip
    beaten = []
    for summary in known:
        stronger = [
            other.label
            for other in known
            if times[other.run.id].value < times[summary.run.id].value
            and other.miou().value > summary.miou().value
            and _is_better(group, other, summary)
        ]
        if stronger:
            beaten.append(f"{summary.label} (by {join_items(stronger)})")
    if beaten:
        yield _draft(
            f"Beaten in both time and, with certainty, mean IoU: {join_items(beaten)}.", follows=[f"pareto{suffix}"]
        )


def _upper_bound(group: Group, suffix: str) -> Iterator[Paragraph]:
    """Say what the truth in cells as coarse as the scores would reach, and how much of that each run does."""
    known = [(summary, reached) for summary in group.evaluated if (reached := share_of_upper_bound(summary))]
    bounds = [
        text(
            summary.score("/metadata/upper_bound", PERCENT), f" in {summary.label}'s cells of ",
            summary.score("/metadata/pixels_per_cell", COUNT), f" pixels ({summary.label} reaches ",
            reprinted(reached, PERCENT), " of that)",
        )
        for summary, reached in known
    ]  # fmt: skip
    if bounds:
        yield _draft(
            "The truth itself, averaged in cells as coarse as a network's scores, would score ", joined(bounds), ".",
            follows=[f"ceilings{suffix}"],
        )  # fmt: skip


def _edges(group: Group, suffix: str) -> Iterator[Paragraph]:
    """Compare the right pixels at boundaries and far from them, for the best run."""
    best = group.ranked[0]
    bands = best.result_value("/scores/distances")
    if not bands:
        return
    near, far = (best.score(f"/scores/distances/{band}/pixel_accuracy", PERCENT) for band in (0, len(bands) - 1))
    if near and far:
        yield _draft(
            f"Within {bands[0]['to']} pixels of a boundary {best.label} is right in ", near,
            f" of the pixels, further away than {bands[-1]['from']} in ", far, ".",
            follows=[f"distances{suffix}", f"boundaries-drawn{suffix}"],
        )  # fmt: skip


def _calibration(group: Group, suffix: str) -> Iterator[Paragraph]:
    """Say how far confidence is from accuracy, and on which side."""
    errors = []
    for summary in group.evaluated:
        error = summary.score("/scores/calibration/ece", PERCENT)
        if error:
            bins = [row for row in summary.result_value("/scores/calibration/bins") if row["pixels"]]
            lean = sum(row["pixels"] * (row["confidence"] - row["accuracy"]) for row in bins)
            side = "mostly too sure" if lean > 0 else "mostly not sure enough"
            errors.append(text("by ", error, f" for {summary.label} ({side})"))
    if errors:
        yield _draft(
            "On average over the pixels, confidence and accuracy differ ", joined(errors), ".",
            follows=[f"scores{suffix}", f"reliability{suffix}"],
        )  # fmt: skip


def _robustness(group: Group, suffix: str) -> Iterator[Paragraph]:
    """Name the corruption that costs each run most."""
    for summary in group.evaluated:
        kinds = summary.robustness.miou if summary.robustness else ()
        drops = {kind: number for kind in kinds if (number := drop_number(summary, kind))}
        clean = drops.pop("none", None)
        if not drops or not clean:
            continue
        worst = min(drops, key=lambda kind: drops[kind].value)
        yield _draft(
            f"{summary.label} suffers most from {worst}: over its five strengths the mean IoU is ",
            reprinted(drops[worst], PERCENT), ", as the frames are ", reprinted(clean, PERCENT), ".",
            follows=[f"corruptions{suffix}", f"corrupted{suffix}"],
        )  # fmt: skip


def _unfinished(group: Group, suffix: str) -> Iterator[Paragraph]:
    """Say who was still learning at the last evaluation."""
    rising = []
    for summary in group.scored:
        rows = [(index, row["miou"]) for index, row in enumerate(summary.files["eval"]) if row.get("miou") is not None]
        if len(rows) > 1 and rows[-1][1] - rows[-2][1] > RISING:
            before, after = (summary.number("eval", f"/{index}/miou", PERCENT) for index, _ in rows[-2:])
            rising.append(text(f"{summary.label} (from ", before, " to ", after, ")"))
    if rising:
        yield _draft(
            "Still rising between the last two evaluations was the mean IoU of ", joined(rising),
            ": a longer training might raise it further.", follows=[f"curves{suffix}"],
        )  # fmt: skip


def _reach(group: Group, suffix: str) -> Iterator[Paragraph]:
    """Say what these scores are no evidence of."""
    evidence = SOURCES[group.first.config.dataset.name].note
    if evidence:
        yield _draft(evidence)

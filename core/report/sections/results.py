"""Results: curves, scores with the best in bold, classes, confusions, pictures, robustness, significance."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from core.evaluation.bootstrap import ENOUGH
from core.report.figures import (
    bars_figure,
    confusion_figure,
    curves_figure,
    distance_figure,
    pareto_figure,
    reliability_figure,
    robustness_figure,
)
from core.report.phrases import (
    Column,
    by_value,
    cells,
    columns_of,
    derived,
    frames_text,
    note,
    number_row,
    paragraph,
    table_of_runs,
    text,
)
from core.report.report_data import (
    COUNT,
    PERCENT,
    SHARE,
    Group,
    NumberFormat,
    ReportData,
    RunSummary,
    each_once,
    escaped,
)
from core.report.sections.introduction import NO_FOLDER, is_of_streets
from core.report.sections.methodology import minutes_of
from core.report.structure import Block, Figure, ImageGrid, Number, Ref, Section, Table, Text
from core.runs.repeats import Repeats
from core.text import join_items

MAX_CONFUSIONS = 5
LOSS = ("loss", "class_weights", "second_loss", "second_loss_weight", "label_smoothing")
"""Settings of the training that a value of the loss depends on."""
MILLIONS = NumberFormat(1e-6, 1)
GIGA = NumberFormat(1e-9, 1)
MILLISECONDS = NumberFormat(1, 0)
POINTS = NumberFormat(100, 1, signed=True)


def results(data: ReportData) -> list[Section]:
    """Return the section, in parts."""
    parts = (
        ("scores", "Scores", (_scores,)),
        ("learning", "Learning", (_curves,)),
        ("classes", "Classes", (_classes, _categories)),
        ("confusions", "Confusions", (_confusions,)),
        ("frames", "Frames", (_frames,)),
        ("boundaries", "Boundaries, objects and cities", (_distances, _sizes, _cities)),
        ("limits", "The truth in coarse cells", (_upper_bounds,)),
        ("calibration", "Calibration", (_calibration,)),
        ("robustness", "Robustness", (_robustness,)),
        ("significance", "Significance", (_significance, _repeats)),
    )
    sections = [Section("results", "Results", ())]
    for group in data.groups:
        suffix = data.suffix(group)
        of_group = "" if len(data.groups) == 1 else f" of group {group.number}"
        for name, title, writers in parts:
            blocks = tuple(block for write in writers for block in write(group, suffix))
            if blocks:
                shown = title if is_of_streets(group) else title.replace("cities", "folders")
                sections.append(Section(f"results-{name}{suffix}", f"{shown}{of_group}", blocks, level=2))
    return sections


def _scores(group: Group, suffix: str) -> Iterator[Block]:
    for summary in group.summaries:
        if summary not in group.scored:
            yield note(f"{summary.label} has no score: {summary.problem.rstrip('.')}.")
    if not group.scored:
        yield note("So there is nothing to compare yet. Write this report again when the runs have been scored.")
        return
    for summary in group.scored:
        if not summary.result:
            yield note(
                f"{summary.label} has no evaluation result ({summary.problem.rstrip('.')}); its numbers are those of"
                " its best evaluation during the training."
            )
    scores, cost = _score_table(group, suffix), _cost_table(group, suffix)
    yield paragraph(
        "On ", frames_text(group), ", ", leaders_text(group), " (", Ref(scores.id), "); what that takes is in ", Ref(cost.id), ".",
    )  # fmt: skip
    yield scores
    yield cost
    points = {
        summary.label: (
            summary.result_value("/metadata/milliseconds") if group.is_timed_alike else None,
            summary.result_value("/metadata/parameters"),
            summary.miou().value,
        )
        for summary in group.evaluated
        if summary.miou() is not None
    }
    if len(points) > 1:
        yield Figure(
            f"pareto{suffix}",
            ("Accuracy against cost. The broken line joins the runs that no other beats in both.",),
            pareto_figure(points, group.colors),
            f"Mean IoU over {'milliseconds and over ' * group.is_timed_alike}parameters, a dot for each run.",
        )


def leaders_text(group: Group) -> Text:
    """Return who has the highest mean IoU, in a clause; all of those who print alike."""
    leaders = group.leaders
    names, highest = join_items([summary.label for summary in leaders]), leaders[0].miou(PERCENT)
    if len(group.scored) == 1:
        return text(names, " reaches a mean IoU of ", highest)
    if len(leaders) == 1:
        return text(names, " has the highest mean IoU, ", highest)
    if len(leaders) == len(group.scored):
        return text(names, " have the same mean IoU to a tenth of a point, ", highest)
    return text(names, " have the highest mean IoU, the same to a tenth of a point, ", highest)


def _score_table(group: Group, suffix: str) -> Table:
    columns: tuple[Column, ...] = (
        ("mIoU, %", lambda summary: summary.miou(), "high"),
        ("pixel acc., %", lambda summary: summary.measured("pixel_accuracy", "pixel_accuracy"), "high"),
        ("class acc., %", lambda summary: summary.score("/scores/mean_accuracy"), "high"),
        ("mIoU of categories, %", lambda summary: summary.score("/scores/categories/miou"), "high"),
        ("iIoU, %", lambda summary: summary.score("/scores/miiou"), "high"),
        ("boundary F1, %", lambda summary: summary.score("/scores/mean_boundary_f1"), "high"),
        ("calibration error, %", lambda summary: summary.score("/scores/calibration/ece"), "low"),
    )
    shown = [column for column in columns if any(column[1](summary) for summary in group.scored)]
    descriptions = {summary.result.metadata.settings.description for summary in group.evaluated}
    protocol = f" ({descriptions.pop()})" if len(descriptions) == 1 else ""
    caption = text("Scores on ", frames_text(group), protocol, ". The best of each column is in bold.")
    return table_of_runs(f"scores{suffix}", caption, "run", group.scored, shown)


def _cost_table(group: Group, suffix: str) -> Table:
    hardware = group.hardware
    columns: tuple[Column, ...] = (
        ("parameters, M", lambda summary: summary.score("/metadata/parameters", MILLIONS) or summary.number("plan.json", "/parameters", MILLIONS), "low"),
        ("GFLOP a frame", lambda summary: summary.score("/metadata/flops", GIGA), "low"),
        ("ms a frame", lambda summary: summary.score("/metadata/milliseconds", MILLISECONDS), "low" if group.is_timed_alike else ""),
        ("± ms", lambda summary: summary.score("/metadata/milliseconds_spread", MILLISECONDS), ""),
        ("training, min", minutes_of, "low"),
        ("steps to the best", _best_step, ""),
    )  # fmt: skip
    where = f" Frames were timed one at a time: {next(iter(hardware)).rstrip('.')}." if len(hardware) == 1 else (
        " Frames were timed one at a time, not all on the same hardware, so that the times don't compare." if hardware else ""
    )  # fmt: skip
    where += " Times are medians, ± the distance of their quartiles." if hardware else ""
    unclear = [summary for summary in group.evaluated if not summary.result.metadata.is_timed_well]
    if unclear:
        names = join_items([summary.label for summary in unclear])
        where += f" {names} {'was' if len(unclear) == 1 else 'were'} timed beside other work or too few times, so that "
        where += "times don't compare." if len(group.evaluated) > 1 else "this time is no measurement."
    return table_of_runs(f"cost{suffix}", text("What the runs cost.", where), "run", group.scored, columns)


def _best_step(summary: RunSummary) -> Number | None:
    if summary.result_file:
        return summary.score("/metadata/step", COUNT)
    return summary.number("eval", f"/{summary.best_evaluation}/step", COUNT)


def _loss(summary: RunSummary) -> tuple[tuple[str, Any], ...]:
    """Return the settings in use that a value of the training loss depends on."""
    training = summary.config.training
    return tuple((name, getattr(training, name)) for name in LOSS if ("training", name) in summary.used_settings)


def _curves(group: Group, suffix: str) -> Iterator[Block]:
    rows = [row for summary in group.summaries for kind in ("train", "eval") for row in summary.files[kind]]
    by_minutes = all("minutes" in row for row in rows)
    clock = "minutes" if by_minutes else "step"

    def curves(kind: str, name: str) -> dict[str, tuple[list[float], list[float]]]:
        """Return times and values of each run that has some."""
        results = {}
        for summary in group.summaries:
            known = [row for row in summary.files[kind] if row.get(name) is not None]
            if known:
                results[summary.label] = ([row[clock] for row in known], [row[name] for row in known])
        return results

    losses, scores = curves("train", "loss"), curves("eval", "miou")
    if not losses:
        return
    alike = len({_loss(summary) for summary in group.summaries}) == 1
    caption = text(
        "Loss of the training batches, a running mean over the faint raw values, and mean IoU at every evaluation.",
        "" if alike else " The losses are not the same, so that only the right half compares runs.",
    )
    yield Figure(
        f"curves{suffix}",
        caption,
        curves_figure(losses, scores, group.colors, "minutes" if by_minutes else "steps"),
        "Curves of training loss and validation mean IoU of each run.",
    )


def _classes(group: Group, suffix: str) -> Iterator[Block]:
    scored, class_names = group.scored, group.class_names
    if not scored:
        return
    planned = group.planned or group.first
    numbers = [[summary.class_iou(index, name) for summary in scored] for index, name in enumerate(class_names)]
    shares = [planned.class_share(index, NumberFormat(100, 2)) for index in range(len(class_names))]
    rows = [number_row(name, row, "high", share) for name, row, share in zip(class_names, numbers, shares, strict=True)]
    rows.append(number_row("mean", [summary.miou() for summary in scored], "high", ""))
    yield Table(
        f"iou{suffix}",
        (
            (
                "IoU of each class in per cent, beside the class's share of the training pixels. A dash: neither there"
                " nor predicted."
            ),
        ),
        ("class", "share, %", *columns_of(scored)),
        tuple(rows),
    )
    values = {
        summary.label: [number and number.value for number in column]
        for summary, column in zip(scored, zip(*numbers, strict=True), strict=True)
    }
    yield Figure(
        f"bars{suffix}", ("IoU of each class.",), bars_figure(class_names, values, group.colors, "IoU, %"),
        f"Bars of the IoU of {len(class_names)} classes for each run.",
    )  # fmt: skip


def _categories(group: Group, suffix: str) -> Iterator[Block]:
    known = group.having("/scores/categories/iou")
    if not known:
        return
    rows = [
        number_row(name, [summary.score(f"/scores/categories/iou/{escaped(name)}") for summary in known], "high")
        for name in known[0].result_value("/scores/categories/iou")
    ]
    caption = ("IoU of each category in per cent: a class taken for another of its category counts as right.",)
    yield Table(f"categories{suffix}", caption, ("category", *columns_of(known)), tuple(rows))


def _confusions(group: Group, suffix: str) -> Iterator[Block]:
    if not group.evaluated:
        return
    matrices = {summary.label: summary.result.scores.normalized_confusion("row")[:, :-1] for summary in group.evaluated}
    yield Figure(
        f"confusion{suffix}",
        ("Confusion matrices, each row adding up to all pixels of a true class; darker is more, by the square root.",),
        confusion_figure(group.evaluated[0].result.scores.protocol.names, matrices),
        "A matrix for each run, true classes down and predicted ones across.",
    )
    rows = [
        cells(summary.label, *names, pixels, share)
        for summary in group.evaluated
        for pixels, share, names in worst_confusions(summary)
    ]
    if rows:
        yield Table(
            f"mistaken{suffix}",
            (
                (
                    f"The {MAX_CONFUSIONS} most frequent confusions of each run: pixels, and their share of those of"
                    " the true class."
                ),
            ),
            ("run", "truth", "taken for", "pixels", "share, %"),
            tuple(rows),
            text_columns=(1, 2),
        )


def worst_confusions(summary: RunSummary) -> list[tuple[Number, Number, tuple[str, str]]]:
    """Of which most pixels were taken for another class: how many, their share of the true class, and the two names."""
    scores = summary.result.scores
    counts, shares = scores.evaluated_confusion[:, :-1].copy(), scores.normalized_confusion("row")
    np.fill_diagonal(counts, 0)
    names, indices = scores.protocol.names, scores.protocol.evaluated
    confusions = []
    for flat in np.argsort(-counts, axis=None, kind="stable")[:MAX_CONFUSIONS]:
        row, column = np.unravel_index(flat, counts.shape)
        if counts[row, column]:
            pointer = f"{indices[row]}/{indices[column]}"
            share = derived(
                float(shares[row, column]), SHARE, f"confusion {summary.run.id}/{summary.result_file}:{pointer}"
            )
            confusions.append(
                (summary.score(f"/scores/confusion/{pointer}", COUNT), share, (names[row], names[column]))
            )
    return confusions


def _frames(group: Group, suffix: str) -> Iterator[Block]:
    if group.evaluated and group.images_problem:
        yield note(f"Frames with their masks are not shown: {group.images_problem.rstrip('.')}.")
    elif group.evaluated and group.panels:
        caption = (
            "The frames with the highest, the median and the lowest mean IoU, averaged over the runs. Black has no"
            " class."
        )
        yield ImageGrid(f"panels{suffix}", (caption,), group.panel_columns, group.panels, group.class_colors)


def _distances(group: Group, suffix: str) -> Iterator[Block]:
    known = group.having("/scores/distances")
    if not known:
        return
    bands = known[0].result_value("/scores/distances")
    names = [f"{band['from']}–{band['to']}" if band["to"] else f"over {band['from']}" for band in bands]
    yield Table(
        f"distances{suffix}",
        ("Share of right pixels, in per cent, by their distance in pixels from a true boundary between classes.",),
        ("distance, px", *columns_of(known)),
        tuple(
            number_row(name, [summary.score(f"/scores/distances/{index}/pixel_accuracy") for summary in known], "high")
            for index, name in enumerate(names)
        ),
    )
    values = {
        summary.label: [band["pixel_accuracy"] for band in summary.result_value("/scores/distances")]
        for summary in known
    }
    yield Figure(
        f"boundaries-drawn{suffix}",
        ("Share of right pixels by distance from a true boundary.",),
        distance_figure(names, values, group.colors),
        "A line for each run, rising with the distance from a boundary.",
    )


def _sizes(group: Group, suffix: str) -> Iterator[Block]:
    known = group.having("/scores/sizes")
    if not known:
        return
    rows = []
    for index, size in enumerate(known[0].result_value("/scores/sizes")):
        shares = [summary.score(f"/scores/sizes/{index}/found") for summary in known]
        rows.append(number_row(size["size"], shares, "high", known[0].score(f"/scores/sizes/{index}/objects", COUNT)))
    caption = (
        (
            "Mean share of an object's pixels that are found, in per cent, by the object's size in the scored frame: up"
            " to 32 × 32 pixels, up to 96 × 96, and larger."
        ),
    )
    yield Table(f"sizes{suffix}", caption, ("objects", "how many", *columns_of(known)), tuple(rows))


def _cities(group: Group, suffix: str) -> Iterator[Block]:
    cities = group.evaluated[0].result_value("/scores/groups") if group.evaluated else None
    if not cities or not 1 < len(cities) <= 24:
        return
    rows = []
    for name in cities:
        pointer = f"/scores/groups/{escaped(name)}"
        numbers = [summary.score(f"{pointer}/miou") for summary in group.evaluated]
        rows.append(
            number_row(name or NO_FOLDER, numbers, "high", group.evaluated[0].score(f"{pointer}/frames", COUNT))
        )
    kind = "city" if is_of_streets(group) else "folder"
    caption = (f"Mean IoU by {kind}, in per cent.",)
    yield Table(f"cities{suffix}", caption, (kind, "frames", *columns_of(group.evaluated)), tuple(rows))


def _upper_bounds(group: Group, suffix: str) -> Iterator[Block]:
    known = [summary for summary in group.evaluated if summary.result.metadata.upper_bound is not None]
    if not known:
        return
    caption = (
        (
            "What the truth itself would score, averaged in cells as coarse as a run's scores and enlarged as smoothly,"
            " and how much of that each run reaches. It is a yardstick, not a limit: scores between cells can draw"
            " things thinner than a cell."
        ),
    )
    columns: tuple[Column, ...] = (
        ("px in a cell", lambda summary: summary.score("/metadata/pixels_per_cell", COUNT), ""),
        ("ceiling, %", lambda summary: summary.score("/metadata/upper_bound"), ""),
        ("mIoU, %", lambda summary: summary.miou(), ""),
        ("reached, %", share_of_upper_bound, ""),
    )
    yield table_of_runs(f"ceilings{suffix}", caption, "run", known, columns)
    strides = sorted(known[0].result.metadata.upper_bounds)
    if strides:
        caption = (
            (
                "Mean IoU of the truth, on these frames, with one label for each square of so many pixels a side: that"
                " of most of them."
            ),
        )
        row = number_row("mean IoU, %", [known[0].score(f"/metadata/upper_bounds/{stride}") for stride in strides])
        yield Table(f"strides{suffix}", caption, ("factor", *map(str, strides)), (row,))


def share_of_upper_bound(summary: RunSummary) -> Number | None:
    """Return which part of its ceiling a run reaches."""
    miou, upper_bound = summary.miou(), summary.result.metadata.upper_bound
    if miou is None or not upper_bound:
        return None
    return derived(miou.value / upper_bound, SHARE, f"reached {summary.run.id}/{summary.result_file}:/scores/miou")


def _calibration(group: Group, suffix: str) -> Iterator[Block]:
    bins = {}
    for summary in group.having("/scores/calibration/bins"):
        shown = [row for row in summary.result_value("/scores/calibration/bins") if row["pixels"]]
        if shown:
            bins[summary.label] = ([row["confidence"] for row in shown], [row["accuracy"] for row in shown])
    if bins:
        caption = (
            (
                "Reliability: of the pixels that were predicted with a confidence, how many are right. Below the"
                " diagonal a network is surer than it is right."
            ),
        )
        figure = reliability_figure(bins, group.colors)
        yield Figure(f"reliability{suffix}", caption, figure, "Accuracy over confidence for each run.")


def _robustness(group: Group, suffix: str) -> Iterator[Block]:
    known = [summary for summary in group.evaluated if summary.robustness]
    if not known:
        if group.evaluated:
            yield note("No run was scored under corruptions.")
        return
    alike = {
        (
            metadata.data,
            metadata.size,
            metadata.settings.description,
            summary.robustness.seed,
            summary.robustness.version,
        )
        for summary in known
        for metadata in (summary.robustness.metadata,)
    }
    if len(alike) > 1:
        yield note(
            "The runs were not all scored alike on the same corrupted frames, so that these numbers don't compare."
        )
    missing = [summary.label for summary in group.evaluated if summary not in known]
    if missing:
        yield note(f"Not scored under corruptions: {join_items(missing)}.")

    def frames(summary: RunSummary) -> Text:
        number = summary.number(summary.robustness_file, "/metadata/frames", COUNT)
        return text(
            number, " frames", f": {summary.robustness.metadata.settings.description}" if len(alike) > 1 else ""
        )

    kinds = [kind for kind in known[0].robustness.miou if kind != "none"]
    rows = [
        number_row(
            "as they are" if kind == "none" else kind,
            [drop_number(summary, kind) for summary in known],
            "high" if len(alike) == 1 else "",
        )
        for kind in ("none", *kinds)
    ]
    caption = text(
        "Mean IoU in per cent under each corruption, averaged over five strengths, on ", by_value(known, frames), "."
    )
    yield Table(f"corruptions{suffix}", caption, ("corruption", *columns_of(known)), tuple(rows))
    lines = {
        kind: {
            summary.label: [summary.robustness.miou[kind].get(strength) for strength in range(1, 6)]
            for summary in known
            if kind in summary.robustness.miou
        }
        for kind in kinds
    }
    clean = {summary.label: summary.robustness.miou["none"][0] or 0.0 for summary in known}
    yield Figure(
        f"corrupted{suffix}",
        ("Mean IoU under corruptions of growing strength.",),
        robustness_figure(lines, clean, group.colors),
        "Small plots of mean IoU over strength, one for each corruption.",
    )


def drop_number(summary: RunSummary, kind: str) -> Number | None:
    """Return mean IoU under a corruption, averaged over its strengths; of the frames as they are for `none`."""
    file = summary.robustness_file
    if kind == "none":
        return summary.number(file, "/miou/none/0", SHARE)
    values = [value for value in summary.robustness.miou.get(kind, {}).values() if value is not None]
    if not values:
        return None
    return derived(sum(values) / len(values), SHARE, f"mean {summary.run.id}/{file}:/miou/{escaped(kind)}")


def _significance(group: Group, suffix: str) -> Iterator[Block]:
    if group.problem:
        yield note(group.problem)
    if not group.comparisons:
        return
    rows = []
    for (one, other), comparison in group.comparisons.items():
        first, second = group.summaries[one], group.summaries[other]
        numbers = [
            compared_number(first, second, name, getattr(comparison, name))
            for name in ("difference", "spread", "low", "high")
        ]
        verdict = "can't be told apart"
        if comparison.is_certain:
            verdict = f"{(first if comparison.difference > 0 else second).label} is better"
        rows.append(cells(f"{first.label} − {second.label}", *numbers, verdict))
    drawn = many = few = missing = ""
    if len(rows) > 2:
        many = " At this level one comparison in twenty of runs that are equal looks certain by chance."
    if any(each.frames < ENOUGH for each in group.comparisons.values()):
        few = f" On fewer than {ENOUGH} frames no run is called better: such intervals are too narrow."
    if any(each.too_alike for each in group.comparisons.values()):
        few += " Where neighbouring frames are too alike for so few of them, no run is called better either."
    units = [each for each in group.comparisons.values() if each.blocks]
    if units:
        lengths = sorted({max(2, round(each.frames / each.blocks)) for each in units})
        span = f"{lengths[0]}" if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]}"
        alone = "" if len(units) == len(rows) else " where they were alike, single frames elsewhere"
        drawn = f" Neighbouring frames were drawn together, in blocks of about {span}{alone}."
    drawn += " What other recordings, or another seed of the training, would change isn't in these intervals."
    uncounted = each_once([name for each in group.comparisons.values() for name in each.uncounted])
    if uncounted:
        missing = f" No frame shows {join_items(uncounted, 'or')}, so that these means don't count it."
    caption = text(
        "Differences of mean IoU in points, with the standard deviation and the 95 % interval of a paired bootstrap over ",
        frames_text(group), f".{drawn}{few}{many}{missing}",
    )  # fmt: skip
    heads = ("runs", "difference", "±", "from", "to", "verdict")
    yield Table(f"significance-table{suffix}", caption, heads, tuple(rows), text_columns=(5,))


def _repeats(group: Group, suffix: str) -> Iterator[Block]:
    """Yield what recipes come to over their seeds and folds: what is chance in one run."""
    rows = []
    for summary in group.summaries:
        for repeats in summary.repeats:
            numbers = [repeats_number(repeats, name, SHARE) for name in ("mean", "deviation", "low", "high")]
            count = repeats_number(repeats, "count", COUNT)
            rows.append(cells(summary.label, text(count, f" {repeats.by}s"), *numbers))
    if not rows:
        return
    folds = any(repeats.by == "fold" for summary in group.summaries for repeats in summary.repeats)
    caption = text(
        "Mean IoU of recipes that were trained several times, each run at its best evaluation during the training: mean,"
        " standard deviation, and the 95 % interval of the mean by Student's t. It covers what another seed changes, not"
        " what other frames would.",
        " Over folds it is too narrow, since any two learn from most of the same frames." if folds else None,
    )
    yield Table(f"repeats{suffix}", caption, ("run", "over", "mean", "±", "from", "to"), tuple(rows), text_columns=(1,))


def repeats_number(repeats: Repeats, name: str, number_format: NumberFormat) -> Number:
    """Return a number of the mean IoU of repeats: its mean, deviation, low, high or count."""
    runs = " ".join(f"{run.id}/eval" for run in repeats.runs)
    return derived(getattr(repeats.miou, name), number_format, f"repeats {runs}:{name}")


def compared_number(first: RunSummary, second: RunSummary, name: str, value: float) -> Number:
    """Return a number of the comparison of two runs."""
    number_format = SHARE if name == "spread" else POINTS
    source = f"bootstrap {first.run.id}/{first.result_file} {second.run.id}/{second.result_file}:{name}"
    return derived(value, number_format, source)

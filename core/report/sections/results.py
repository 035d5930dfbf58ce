"""Results: curves, scores with the best in bold, classes, confusions, pictures, robustness, significance."""

from collections.abc import Callable
from typing import Any

import numpy as np

from core.config import used_settings
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
    Best,
    by_value,
    cell,
    columns_of,
    derived,
    frames_text,
    note,
    number_row,
    paragraph,
    text,
    text_cell,
    with_best_in_columns,
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
from core.report.sections.methodology import minutes_of
from core.report.structure import Block, Cell, Figure, ImageGrid, Number, Ref, Section, Table, Text
from core.text import join_words

Column = tuple[str, Callable[[RunSummary], Number | None], Best]
"""A column of a table of runs: its title, what stands in it, and which of its numbers are the best."""
MAX_CONFUSIONS = 5
LOSS = ("loss", "class_weights", "second_loss", "second_loss_weight", "label_smoothing")
"""Settings of the training that a value of the loss depends on."""
MILLIONS = NumberFormat(1e-6, 1)
GIGA = NumberFormat(1e-9, 1)
MILLISECONDS = NumberFormat(1, 0)
POINTS = NumberFormat(100, 1, signed=True)


def results(data: ReportData) -> list[Section]:
    """Return the section, in parts."""
    sections = [Section("results", "Results", ())]
    for group in data.groups:
        title = "" if len(data.groups) == 1 else f" of group {group.number}"
        suffix = data.suffix(group)
        parts = (
            ("scores", "Scores", _scores(group, suffix)),
            ("learning", "Learning", _curves(group, suffix)),
            ("classes", "Classes", _classes(group, suffix)),
            ("confusions", "Confusions", _confusions(group, suffix)),
            ("frames", "Frames", _frames(group, suffix)),
            ("boundaries", "Boundaries, objects and cities", [*_distances(group, suffix), *_sizes(group, suffix), *_cities(group, suffix)]),
            ("limits", "The truth in coarse cells", _upper_bounds(group, suffix)),
            ("calibration", "Calibration", _calibration(group, suffix)),
            ("robustness", "Robustness", _robustness(group, suffix)),
            ("significance", "Significance", _significance(group, suffix)),
        )  # fmt: skip
        sections += [
            Section(f"results-{name}{suffix}", f"{intro}{title}", tuple(blocks), level=2)
            for name, intro, blocks in parts
            if blocks
        ]
    return sections


def _scores(group: Group, suffix: str) -> list[Block]:
    unscored = [summary for summary in group.summaries if summary not in group.scored]
    blocks: list[Block] = [
        note(f"{summary.label} has no score: {summary.problem.rstrip('.')}.") for summary in unscored
    ]
    if not group.scored:
        return [
            *blocks,
            note("So there is nothing to compare yet. Write this report again when the runs have been scored."),
        ]
    table = _score_table(group, suffix)
    fallen = [summary for summary in group.scored if not summary.result]
    blocks += [
        note(
            f"{summary.label} has no evaluation result ({summary.problem.rstrip('.')}); its numbers are those of its best evaluation during "
            "the training."
        )
        for summary in fallen
    ]
    cost = _cost_table(group, suffix)
    sentence = [
        "On ",
        frames_text(group),
        ", ",
        *leaders_text(group),
        " (",
        Ref(table.id),
        "); what that takes is in ",
    ]
    blocks.append(paragraph(*sentence, Ref(cost.id), "."))
    blocks += [table, cost]
    points = {
        summary.label: (
            summary.read(summary.result_file, "/metadata/milliseconds") if len(group.hardware) == 1 else None,
            summary.read(summary.result_file, "/metadata/parameters"),
            summary.miou().value,
        )
        for summary in group.carded
        if summary.miou() is not None
    }
    if len(points) > 1:
        blocks.append(
            Figure(
                f"pareto{suffix}",
                ("Accuracy against cost. The broken line joins the runs that no other beats in both.",),
                pareto_figure(points, _colors(group)),
                f"Mean IoU over {'milliseconds and over ' * (len(group.hardware) == 1)}parameters, a dot for each run.",
            )
        )
    return blocks


def leaders_text(group: Group) -> Text:
    """Return who has the highest mean IoU, in a clause; all of those who print alike."""
    leaders = group.leaders
    names, highest = join_words([summary.label for summary in leaders]), leaders[0].miou(PERCENT)
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
        ("pixel acc., %", lambda summary: summary.pixel_accuracy(), "high"),
        ("class acc., %", lambda summary: summary.score("/scores/mean_accuracy"), "high"),
        ("mIoU of categories, %", lambda summary: summary.score("/scores/categories/miou"), "high"),
        ("iIoU, %", lambda summary: summary.score("/scores/miiou"), "high"),
        ("boundary F1, %", lambda summary: summary.score("/scores/mean_boundary_f1"), "high"),
        ("calibration error, %", lambda summary: summary.score("/scores/calibration/ece"), "low"),
    )
    table = [[read(summary) for _, read, _ in columns] for summary in group.scored]
    shown = [index for index in range(len(columns)) if any(row[index] for row in table)]
    marked = with_best_in_columns(
        [[row[column] for column in shown] for row in table], [columns[column][2] for column in shown]
    )
    rows = tuple((Cell((summary.label,)), *cells) for summary, cells in zip(group.scored, marked, strict=True))
    caption = text("Scores on ", frames_text(group), _protocol_text(group), ". The best of each column is in bold.")
    return Table(f"scores{suffix}", caption, ("run", *(columns[place][0] for place in shown)), rows)


def _protocol_text(group: Group) -> str:
    descriptions = {summary.result.metadata.settings.description for summary in group.carded}
    return f" ({descriptions.pop()})" if len(descriptions) == 1 else ""


def _cost_table(group: Group, suffix: str) -> Table:
    hardware = group.hardware
    columns: tuple[Column, ...] = (
        ("parameters, M", lambda summary: summary.score("/metadata/parameters", MILLIONS) or summary.number("plan.json", "/parameters", MILLIONS), "low"),
        ("GFLOP a frame", lambda summary: summary.score("/metadata/flops", GIGA), "low"),
        ("ms a frame", lambda summary: summary.score("/metadata/milliseconds", MILLISECONDS), "low" if len(hardware) == 1 else ""),
        ("training, min", minutes_of, "low"),
        ("steps to the best", _best_step, ""),
    )  # fmt: skip
    table = [[read(summary) for _, read, _ in columns] for summary in group.scored]
    marked = with_best_in_columns(table, [best for _, _, best in columns])
    rows = tuple((Cell((summary.label,)), *cells) for summary, cells in zip(group.scored, marked, strict=True))
    where = f" Frames were timed one at a time: {next(iter(hardware)).rstrip('.')}." if len(hardware) == 1 else (
        " Frames were timed one at a time, not all on the same hardware, so that the times don't compare." if hardware else ""
    )  # fmt: skip
    caption = text("What the runs cost.", where)
    return Table(f"cost{suffix}", caption, ("run", *(head for head, _, _ in columns)), rows)


def _best_step(summary: RunSummary) -> Number | None:
    if summary.result_file:
        return summary.score("/metadata/step", COUNT)
    return summary.number("eval", f"/{summary.best_evaluation}/step", COUNT)


def _loss(summary: RunSummary) -> tuple[tuple[str, Any], ...]:
    """Return the settings in use that a value of the training loss depends on."""
    training = summary.config.training
    return tuple(
        (name, getattr(training, name))
        for part, name in used_settings(summary.config)
        if part == "training" and name in LOSS
    )


def _curves(group: Group, suffix: str) -> list[Block]:
    def times(rows: list[dict]) -> list[float] | None:
        return [row["minutes"] for row in rows] if all("minutes" in row for row in rows) else None

    by_minutes = all(
        times(summary.files[kind]) is not None for summary in group.summaries for kind in ("train", "eval")
    )
    unit = "minutes" if by_minutes else "steps"
    clock = "minutes" if by_minutes else "step"
    losses, scores = {}, {}
    for summary in group.summaries:
        train = [row for row in summary.files["train"] if row.get("loss") is not None]
        evals = [row for row in summary.files["eval"] if row.get("miou") is not None]
        if train:
            losses[summary.label] = ([row[clock] for row in train], [row["loss"] for row in train])
        if evals:
            scores[summary.label] = ([row[clock] for row in evals], [row["miou"] for row in evals])
    if not losses:
        return []
    alike = len({_loss(summary) for summary in group.summaries}) == 1
    caption = text(
        "Loss of the training batches, a running mean over the faint raw values, and mean IoU at every evaluation.",
        "" if alike else " The losses are not the same, so that only the right half compares runs.",
    )
    return [
        Figure(f"curves{suffix}", caption, curves_figure(losses, scores, _colors(group), unit),
               "Curves of training loss and validation mean IoU of each run."),
    ]  # fmt: skip


def _classes(group: Group, suffix: str) -> list[Block]:
    scored = group.scored
    if not scored:
        return []
    planned = group.planned or group.first
    class_names = group.class_names
    rows = []
    for index, name in enumerate(class_names):
        share = planned.share("plan.json", "/class_pixels", index, NumberFormat(100, 2))
        numbers = [summary.class_iou(index, name) for summary in scored]
        rows.append((Cell((name,)), cell(share), *number_row(name, numbers, "high")[1:]))
    totals = [summary.miou() for summary in scored]
    rows.append((Cell(("mean",)), text_cell(""), *number_row("mean", totals, "high")[1:]))
    table = Table(
        f"iou{suffix}",
        (
            "IoU of each class in per cent, beside the class's share of the training pixels. A dash: neither there nor predicted.",
        ),
        ("class", "share, %", *columns_of(scored)),
        tuple(rows),
    )
    values = {
        summary.label: [
            number.value if (number := summary.class_iou(index, name)) else None
            for index, name in enumerate(class_names)
        ]
        for summary in scored
    }
    figure = Figure(
        f"bars{suffix}", ("IoU of each class.",), bars_figure(class_names, values, _colors(group), "IoU, %"),
        f"Bars of the IoU of {len(class_names)} classes for each run.",
    )  # fmt: skip
    return [table, figure, *_categories(group, suffix)]


def _categories(group: Group, suffix: str) -> list[Block]:
    with_categories = [
        summary for summary in group.carded if summary.read(summary.result_file, "/scores/categories/iou")
    ]
    if not with_categories:
        return []
    names = list(with_categories[0].read(with_categories[0].result_file, "/scores/categories/iou"))
    rows = [
        number_row(
            name,
            [summary.score(f"/scores/categories/iou/{escaped(name)}") for summary in with_categories],
            "high",
        )
        for name in names
    ]
    caption = ("IoU of each category in per cent: a class taken for another of its category counts as right.",)
    return [Table(f"categories{suffix}", caption, ("category", *columns_of(with_categories)), tuple(rows))]


def _confusions(group: Group, suffix: str) -> list[Block]:
    if not group.carded:
        return []
    matrices = {summary.label: summary.result.scores.normalized_confusion("row")[:, :-1] for summary in group.carded}
    names = group.carded[0].result.scores.protocol.names
    rows = []
    for summary in group.carded:
        for pixels, share, (true, predicted) in worst_confusions(summary):
            rows.append((text_cell(summary.label), text_cell(true), text_cell(predicted), cell(pixels), cell(share)))
    figure = Figure(
        f"confusion{suffix}",
        ("Confusion matrices, each row adding up to all pixels of a true class; darker is more, by the square root.",),
        confusion_figure(names, matrices),
        "A matrix for each run, true classes down and predicted ones across.",
    )
    table = Table(
        f"mistaken{suffix}",
        (
            f"The {MAX_CONFUSIONS} most frequent confusions of each run: pixels, and their share of those of the true class.",
        ),
        ("run", "truth", "taken for", "pixels", "share, %"),
        tuple(rows),
        text_columns=(1, 2),
    )
    return [figure, *([table] if rows else [])]


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


def _frames(group: Group, suffix: str) -> list[Block]:
    if not group.carded:
        return []
    if group.images_problem:
        return [note(f"Frames with their masks are not shown: {group.images_problem.rstrip('.')}.")]
    if not group.panels:
        return []
    key = tuple(zip(group.first.run.class_names, group.first.run.colors, strict=True))
    caption = (
        "The frames with the highest, the median and the lowest mean IoU, averaged over the runs. Black has no class.",
    )
    return [ImageGrid(f"panels{suffix}", caption, group.panel_columns, group.panels, key)]


def _distances(group: Group, suffix: str) -> list[Block]:
    known = [summary for summary in group.carded if summary.read(summary.result_file, "/scores/distances")]
    if not known:
        return []
    bands = known[0].read(known[0].result_file, "/scores/distances")
    names = [f"{band['from']}–{band['to']}" if band["to"] else f"over {band['from']}" for band in bands]
    rows = [
        number_row(name, [summary.score(f"/scores/distances/{index}/pixel_accuracy") for summary in known], "high")
        for index, name in enumerate(names)
    ]
    table = Table(
        f"distances{suffix}",
        ("Share of right pixels, in per cent, by their distance in pixels from a true boundary between classes.",),
        ("distance, px", *columns_of(known)),
        tuple(rows),
    )
    values = {
        summary.label: [band["pixel_accuracy"] for band in summary.read(summary.result_file, "/scores/distances")]
        for summary in known
    }
    figure = Figure(
        f"boundaries-drawn{suffix}",
        ("Share of right pixels by distance from a true boundary.",),
        distance_figure(names, values, _colors(group)),
        "A line for each run, rising with the distance from a boundary.",
    )
    return [table, figure]


def _sizes(group: Group, suffix: str) -> list[Block]:
    known = [summary for summary in group.carded if summary.read(summary.result_file, "/scores/sizes")]
    if not known:
        return []
    sizes = known[0].read(known[0].result_file, "/scores/sizes")
    rows = []
    for index, size in enumerate(sizes):
        numbers = [summary.score(f"/scores/sizes/{index}/found") for summary in known]
        objects = known[0].score(f"/scores/sizes/{index}/objects", COUNT)
        rows.append((Cell((size["size"],)), cell(objects), *number_row("", numbers, "high")[1:]))
    caption = (
        "Mean share of an object's pixels that are found, in per cent, by the object's size in the scored frame: up to 32 × 32 pixels, "
        "up to 96 × 96, and larger.",
    )
    return [Table(f"sizes{suffix}", caption, ("objects", "how many", *columns_of(known)), tuple(rows))]


def _cities(group: Group, suffix: str) -> list[Block]:
    if not group.carded:
        return []
    groups = group.carded[0].read(group.carded[0].result_file, "/scores/groups") or {}
    if not 1 < len(groups) <= 24:
        return []
    rows = []
    for name in groups:
        pointer = f"/scores/groups/{escaped(name)}"
        frames = group.carded[0].score(f"{pointer}/frames", COUNT)
        numbers = [summary.score(f"{pointer}/miou") for summary in group.carded]
        rows.append((Cell((name,)), cell(frames), *number_row("", numbers, "high")[1:]))
    return [
        Table(
            f"cities{suffix}",
            ("Mean IoU by city, in per cent.",),
            ("city", "frames", *columns_of(group.carded)),
            tuple(rows),
        )
    ]


def _upper_bounds(group: Group, suffix: str) -> list[Block]:
    known = [summary for summary in group.carded if summary.result.metadata.upper_bound is not None]
    if not known:
        return []
    rows = []
    for summary in known:
        rows.append(
            (
                Cell((summary.label,)),
                cell(summary.score("/metadata/pixels_per_cell", COUNT)),
                cell(summary.score("/metadata/upper_bound")),
                cell(summary.miou()),
                cell(share_of_upper_bound(summary)),
            )
        )
    table = Table(
        f"ceilings{suffix}",
        (
            "What the truth itself would score, averaged in cells as coarse as a run's scores and enlarged as smoothly, and how much of "
            "that each run reaches. It is a yardstick, not a limit: scores between cells can draw things thinner than a cell.",
        ),
        ("run", "px in a cell", "ceiling, %", "mIoU, %", "reached, %"),
        tuple(rows),
    )
    strides = sorted(known[0].result.metadata.upper_bounds)
    blocks: list[Block] = [table]
    if strides:
        row = tuple(cell(known[0].score(f"/metadata/upper_bounds/{stride}")) for stride in strides)
        blocks.append(
            Table(
                f"strides{suffix}",
                (
                    "Mean IoU of the truth, on these frames, with one label for each square of so many pixels a side: that of most of them.",
                ),
                ("factor", *(str(stride) for stride in strides)),
                ((Cell(("mean IoU, %",)), *row),),
            )
        )
    return blocks


def share_of_upper_bound(summary: RunSummary) -> Number | None:
    """Return which part of its ceiling a run reaches."""
    miou, upper_bound = summary.miou(), summary.result.metadata.upper_bound
    if miou is None or not upper_bound:
        return None
    return derived(miou.value / upper_bound, SHARE, f"reached {summary.run.id}/{summary.result_file}:/scores/miou")


def _calibration(group: Group, suffix: str) -> list[Block]:
    bins = {}
    for summary in group.carded:
        rows = summary.read(summary.result_file, "/scores/calibration/bins") or []
        shown = [row for row in rows if row["pixels"]]
        if shown:
            bins[summary.label] = ([row["confidence"] for row in shown], [row["accuracy"] for row in shown])
    if not bins:
        return []
    caption = (
        "Reliability: of the pixels that were predicted with a confidence, how many are right. Below the diagonal a network is surer "
        "than it is right.",
    )
    figure = Figure(
        f"reliability{suffix}",
        caption,
        reliability_figure(bins, _colors(group)),
        "Accuracy over confidence for each run.",
    )
    return [figure]


def _robustness(group: Group, suffix: str) -> list[Block]:
    known = [summary for summary in group.carded if summary.robustness]
    if not known:
        return [note("No run was scored under corruptions.")] if group.carded else []
    alike = {
        (metadata.data, metadata.size, metadata.settings.description, summary.robustness.seed)
        for summary in known
        for metadata in (summary.robustness.metadata,)
    }
    best = "high" if len(alike) == 1 else ""
    kinds = [kind for kind in known[0].robustness.miou if kind != "none"]
    rows = []
    for kind in ("none", *kinds):
        numbers = [drop_number(summary, kind) for summary in known]
        rows.append(number_row("as they are" if kind == "none" else kind, numbers, best))

    def frames(summary: RunSummary) -> Text:
        number = summary.number(summary.robustness_file, "/metadata/frames", COUNT)
        return text(
            number, " frames", f": {summary.robustness.metadata.settings.description}" if len(alike) > 1 else ""
        )

    caption = text(
        "Mean IoU in per cent under each corruption, averaged over five strengths, on ", by_value(known, frames), "."
    )
    blocks: list[Block] = []
    if len(alike) > 1:
        blocks.append(
            note(
                "The runs were not all scored alike on the same corrupted frames, so that these numbers don't compare."
            )
        )
    missing = [summary.label for summary in group.carded if summary not in known]
    if missing:
        blocks.append(note(f"Not scored under corruptions: {join_words(missing)}."))
    blocks.append(Table(f"corruptions{suffix}", caption, ("corruption", *columns_of(known)), tuple(rows)))
    lines = {
        kind: {
            summary.label: [summary.robustness.miou[kind].get(strength) for strength in range(1, 6)]
            for summary in known
            if kind in summary.robustness.miou
        }
        for kind in kinds
    }
    clean = {summary.label: summary.robustness.miou["none"][0] or 0.0 for summary in known}
    blocks.append(
        Figure(
            f"corrupted{suffix}",
            ("Mean IoU under corruptions of growing strength.",),
            robustness_figure(lines, clean, _colors(group)),
            "Small plots of mean IoU over strength, one for each corruption.",
        )
    )
    return blocks


def drop_number(summary: RunSummary, kind: str) -> Number | None:
    """Return mean IoU under a corruption, averaged over its strengths; of the frames as they are for `none`."""
    file = summary.robustness_file
    if kind == "none":
        return summary.number(file, "/miou/none/0", SHARE)
    values = [value for value in summary.robustness.miou.get(kind, {}).values() if value is not None]
    if not values:
        return None
    return derived(sum(values) / len(values), SHARE, f"mean {summary.run.id}/{file}:/miou/{escaped(kind)}")


def _significance(group: Group, suffix: str) -> list[Block]:
    blocks: list[Block] = []
    if group.problem:
        blocks.append(note(group.problem))
    if not group.comparisons:
        return blocks
    rows = []
    for (one, other), comparison in group.comparisons.items():
        first, second = group.summaries[one], group.summaries[other]
        numbers = {
            name: compared_number(first, second, name, getattr(comparison, name))
            for name in ("difference", "spread", "low", "high")
        }
        verdict = "can't be told apart"
        if comparison.is_certain:
            verdict = f"{(first if comparison.difference > 0 else second).label} is better"
        rows.append(
            (
                Cell((f"{first.label} − {second.label}",)),
                cell(numbers["difference"]),
                cell(numbers["spread"]),
                cell(numbers["low"]),
                cell(numbers["high"]),
                text_cell(verdict),
            )
        )
    count = len(rows)
    many = (
        " At this level one comparison in twenty of runs that are equal looks certain by chance." if count > 2 else ""
    )
    few = ""
    if any(each.frames < ENOUGH for each in group.comparisons.values()):
        few = f" On fewer than {ENOUGH} frames no run is called better: such intervals are too narrow."
    uncounted = each_once([name for each in group.comparisons.values() for name in each.uncounted])
    missing = f" No frame shows {join_words(uncounted, 'or')}, so that these means don't count it." if uncounted else ""
    caption = text(
        "Differences of mean IoU in points, with the standard deviation and the 95 % interval of a paired bootstrap over ",
        frames_text(group), f".{few}{many}{missing}",
    )  # fmt: skip
    heads = ("runs", "difference", "±", "from", "to", "verdict")
    blocks.append(Table(f"significance-table{suffix}", caption, heads, tuple(rows), text_columns=(5,)))
    return blocks


def compared_number(first: RunSummary, second: RunSummary, name: str, value: float) -> Number:
    """Return a number of the comparison of two runs."""
    form = SHARE if name == "spread" else POINTS
    source = f"bootstrap {first.run.id}/{first.result_file} {second.run.id}/{second.result_file}:{name}"
    return derived(value, form, source)


def _colors(group: Group) -> dict[str, str]:
    return {summary.label: summary.color for summary in group.summaries}

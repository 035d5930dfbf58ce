"""Scores: what runs are worth on which frames, where they go wrong, who is better than whom, and at what cost."""

import html
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from app.figures import ACCENT
from app.frame_links import frame_links
from app.leaderboard import board_table, ceiling_words, score_card
from app.score_figures import (
    confusion_figure,
    distance_figure,
    frames_figure,
    interval_figure,
    pareto_figure,
    reliability_figure,
    robustness_figure,
)
from app.scoring import (
    ROBUSTNESS_FRAMES,
    Scored,
    choose_settings,
    find_robustness,
    find_score,
    robustness_seconds,
    robustness_settings,
    start,
    start_archive,
    work_panel,
)
from app.widgets import (
    class_table,
    empty_state,
    failed_state,
    latest_of_each_family,
    pick_runs,
    plain,
    run_colors,
    run_name,
    size_words,
    time_words,
)
from core.config import differences
from core.errors import LabError
from core.inference.answers import checkpoint_digest
from core.labels import CITYSCAPES_19
from core.places import runs_folder
from core.runs import Run, best_miou, list_runs
from core.scorecards.archives import SPLITS, list_archives
from core.scorecards.card import CardSettings, ScoreCard
from core.scorecards.leaderboard import COSTS, METRICS, Board, frontier, leaderboard, protocol_key
from core.scoring.bootstrap import Comparison, compare

VIEWS = {
    "board": "Leaderboard",
    "classes": "Classes",
    "confusion": "Confusion",
    "calibration": "Calibration",
    "where": "Where it fails",
    "compare": "A or B",
    "cost": "Cost",
    "robustness": "Robustness",
    "ceilings": "Ceilings",
    "benchmark": "Benchmark",
}
PER_CLASS = {
    "iou": "IoU",
    "iiou": "iIoU",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "boundary_f1": "Boundary F1",
}
NORMALISED = {"row": "True class", "column": "Prediction", "all": "All pixels"}
PAPER_CEILINGS = {2: 0.972, 4: 0.952, 8: 0.907, 16: 0.846, 32: 0.754}
"""Mean IoU of the truth itself by factor, Table 3 of the Cityscapes paper: its 500 validation frames at full size."""
FRAMES = 12
"""Frames that are listed behind a cell or a difference."""
LARGEST_DOWNLOAD = 200e6
"""Bytes of an archive that a browser is still offered; larger ones are named by their path alone."""
PLAIN = {"displayModeBar": False}


@dataclass(frozen=True)
class Shown:
    """What the views look at: runs that were scored alike.

    Attributes:
        cards: by the run's id.
        runs, names, colors: of every run of the lab, by id.
        settings: how they were scored.
    """

    cards: dict[str, ScoreCard]
    runs: dict[str, Run]
    names: dict[str, str]
    colors: dict[str, str]
    settings: CardSettings

    @property
    def dots(self) -> dict[str, str]:
        """Colours by the names that stand in a table's head."""
        return {self.names[run_id]: self.colors[run_id] for run_id in self.cards}

    def pick(self, label: str, key: str) -> str:
        """A widget that chooses one of the runs, where there are several."""
        if len(self.cards) == 1:
            return next(iter(self.cards))
        return st.selectbox(label, list(self.cards), format_func=self.names.get, key=key)


def key_of(card: ScoreCard) -> tuple:
    """What two cards must have in common to be compared."""
    return protocol_key(card.facts, card.scores.protocol.classes)


def numbers(values: np.ndarray | None, count: int) -> list[float | None]:
    """An array as plain numbers, None for what is none."""
    return [None] * count if values is None else [None if value != value else float(value) for value in values]


# ---- scoring


def score_button(chosen: Sequence[str], missing: Sequence[str], settings: CardSettings, busy: bool) -> None:
    """What is still to be scored, in words and as a button."""
    st.caption(f"How it's scored: {settings.words}.")
    if missing:
        what = f"{len(missing)} runs" if len(missing) > 1 else "this run" if len(chosen) == 1 else "one run"
        st.button(
            f"Score {what}",
            type="primary",
            icon=":material/scoreboard:",
            disabled=busy,
            key="score",
            on_click=start,
            args=(missing, settings),
            help="Counts every pixel of these frames, in a process of its own. The scores are kept in the run's folder.",
        )


def at_a_glance(chosen: Sequence[str], found: dict[str, Scored], shown: Shown) -> None:
    """Every chosen run on a card: its scores, or that it has none yet."""
    with st.grid(3, min_column_width=300):
        for run_id in chosen:
            name, color = shown.names[run_id], shown.colors[run_id]
            if run_id in found:
                scored = found[run_id]
                others = {key: metric.read(scored.scores) for key, metric in METRICS.items()}
                score_card(scored.card, name, color, scored.is_stale, others)
                continue
            miou = best_miou(shown.runs[run_id].path)
            st.html(
                f'<article class="lab-card"><header><span><i class="lab-dot" style="background:{color}"></i>{html.escape(name)}'
                '</span><span class="lab-badge">not scored so yet</span></header>'
                + (f'<div class="lab-score"><b>{miou:.1%}</b> mIoU <span>from training</span></div>' if miou else "")
                + "<small>Its own validation score, at the training size and seen whole.</small></article>"
            )


def boards_panel(boards: Sequence[Board], shown: Shown) -> None:
    """The leaderboard: what was scored alike stands together."""
    if not boards:
        st.caption("No run has a score yet.")
        return
    titles = {key: metric.title for key, metric in METRICS.items()} | {key: cost.title for key, cost in COSTS.items()}
    by = st.selectbox("Sort by", list(titles), format_func=titles.get, key="sort-by", width=220)
    for board in boards:
        mark = f" · data {board.data[:6]}" if board.data else ""
        st.caption(f"{plain(board.words)}{mark}")
        board_table(board, shown.runs, shown.colors, by)
    if len(boards) > 1:
        st.caption(
            "Runs in different tables were scored on other frames, at another size or otherwise: don't compare them."
        )


# ---- what the scores are made of


def classes_view(shown: Shown) -> None:
    """A score per class and category for each run."""
    first = next(iter(shown.cards.values())).scores
    metric = st.segmented_control(
        "Score", list(PER_CLASS), format_func=PER_CLASS.get, default="iou", required=True, key="per-class"
    )
    if metric == "iiou" and first.iiou_reason:
        st.caption(first.iiou_reason)
        return
    if metric == "boundary_f1" and any(card.scores.boundary_f1 is None for card in shown.cards.values()):
        st.caption("Boundaries weren't looked at. Switch them on above, and score again.")
        return
    classes = first.protocol.names
    run = shown.runs[next(iter(shown.cards))]
    values = {
        shown.names[run_id]: numbers(getattr(card.scores, metric), len(classes)) for run_id, card in shown.cards.items()
    }
    totals = {}
    for name, column in values.items():
        known = [value for value in column if value is not None]
        totals[name] = sum(known) / len(known) if known else None
    left, right = st.columns([3, 2], gap="large")
    with left:
        class_table(classes, run.colors, values, totals, shown.dots, f"mean {PER_CLASS[metric]}")
        st.caption("A dash: neither there nor predicted, or not defined for this class.")
    if first.protocol.categories and metric in ("iou", "iiou"):
        with right:
            names = [category.name for category in first.protocol.categories]
            columns = {
                shown.names[run_id]: numbers(getattr(card.scores, f"category_{metric}"), len(names))
                for run_id, card in shown.cards.items()
            }
            means = {
                shown.names[run_id]: getattr(card.scores, f"category_m{metric}") for run_id, card in shown.cards.items()
            }
            class_table(names, None, columns, means, shown.dots, f"mean {PER_CLASS[metric]}")
            st.caption("The benchmark's categories: classes of one count as one.")


def take_cell(names: Sequence[str]) -> None:
    """Called when a cell of the confusion matrix was clicked."""
    points = st.session_state["confusion"]["selection"]["points"]
    if points and points[0].get("customdata"):
        row, column = points[0]["customdata"][:2]
        st.session_state["true-class"], st.session_state["seen-as"] = names[row], names[column]


def confusion_view(shown: Shown) -> None:
    """The confusion matrix of a run, and the frames behind a cell."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        run_id = shown.pick("Run", "confusion-run")
        by = st.segmented_control(
            "Each adds up to 100 %",
            list(NORMALISED),
            format_func=NORMALISED.get,
            default="row",
            required=True,
            key="confusion-by",
        )
    scores = shown.cards[run_id].scores
    rows, counts = scores.protocol.names, scores.evaluated_confusion
    shares = scores.normalized_confusion(by)
    columns = [*rows, "no class"]
    if not counts[:, -1].any():
        columns, counts, shares = list(rows), counts[:, :-1], shares[:, :-1]
    wide, narrow = st.columns([8, 5], gap="large")
    with wide:
        st.plotly_chart(
            confusion_figure(rows, columns, shares, counts),
            key="confusion",
            on_select=lambda: take_cell(columns),
            selection_mode="points",
            alt="Confusion matrix: true classes in rows, predicted ones in columns.",
        )
        st.caption(
            "Rows: the truth. Columns: what it was seen as. Per cent; a cell is as dark as the root of its share. Draw a box to zoom, "
            "click twice to see all; click a cell for its frames."
        )
    with narrow:
        errors = counts[:, : len(rows)] * (1 - np.eye(len(rows), dtype=np.int64))
        most = np.unravel_index(int(errors.argmax()), errors.shape)
        for key, options, place in (("true-class", rows, most[0]), ("seen-as", columns, most[1])):
            if st.session_state.get(key) not in options:
                st.session_state[key] = options[place]
        left, right = st.columns(2)
        truth = left.selectbox("True class", rows, key="true-class")
        seen = right.selectbox("Seen as", columns, key="seen-as")
        behind = scores.frames_behind(list(rows).index(truth), columns.index(seen))
        if not behind:
            st.caption(f"No pixel of {truth} was seen as {seen} here.")
            return
        st.caption(f"{len(behind)} of {len(scores.frames)} frames, those with most of these pixels first.")
        said = {frame: f"{pixels:,} pixels, {share:.0%}" for frame, pixels, share in behind[:FRAMES]}
        frame_links(said, [shown.runs[run_id]], shown.settings)
        st.caption(f"Pixels of {truth} that were seen as {seen}, and their share of this class in the frame.")


def calibration_view(shown: Shown) -> None:
    """Whether the networks are as sure as they are right."""
    found = {shown.names[run_id]: card.scores.calibration for run_id, card in shown.cards.items()}
    wide, narrow = st.columns([3, 2], gap="large")
    with wide:
        st.plotly_chart(reliability_figure(found, shown.dots), key="reliability", config=PLAIN)
    with narrow:
        errors = "".join(
            f'<tr><td><i class="lab-dot" style="background:{shown.dots[name]}"></i>{html.escape(name)}</td>'
            f"<td>{calibration.error:.1%}</td></tr>"
            for name, calibration in found.items()
        )
        st.html(
            f'<div class="lab-scroll"><table class="lab-table"><tr><th></th><th>expected calibration error</th></tr>{errors}</table></div>'
        )
        st.caption(
            "Below the dotted line a network is surer than it is right. The error is the mean distance from that line, by pixels, over "
            "15 bins of confidence (Guo et al., 2017)."
        )


def where_view(shown: Shown) -> None:
    """Scores by city, by size of object, and by distance from a boundary."""
    scores = {shown.names[run_id]: card.scores for run_id, card in shown.cards.items()}
    first = next(iter(scores.values()))
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("By distance from a boundary")
        bands = {name: found.by_distance() for name, found in scores.items()}
        if any(found is None for found in bands.values()):
            st.caption("Boundaries weren't looked at. Switch them on above, and score again.")
        else:
            names = [
                f"{band['from']}-{band['to']}" if band["to"] else f"{band['from']}+"
                for band in bands[next(iter(bands))]
            ]
            lines = {name: [band["miou"] for band in found] for name, found in bands.items()}
            st.plotly_chart(distance_figure(lines, names, shown.dots, "mIoU"), key="distance", config=PLAIN)
        st.subheader("By size of the object")
        sizes = {name: found.by_size() for name, found in scores.items()}
        if first.iiou_reason:
            st.caption(first.iiou_reason)
        else:
            rows = [f"{row['size']}, {row['objects']:,} objects" for row in first.by_size()]
            columns = {name: [row["found"] for row in found] for name, found in sizes.items()}
            class_table(rows, None, columns, {}, shown.dots)
            st.caption(
                "Mean share of an object's pixels that are found; small up to 32 x 32 pixels, large from 96 x 96."
            )
    with right:
        st.subheader("By city or folder")
        groups = {name: found.by_group() for name, found in scores.items()}
        rows = list(first.by_group())
        counts = [len(first.by_group()[row].frames) for row in rows]
        columns = {name: [numbers(np.array([found[row].miou]), 1)[0] for row in rows] for name, found in groups.items()}
        class_table(
            [f"{row or 'all'}, {count} frames" for row, count in zip(rows, counts, strict=True)],
            None,
            columns,
            {name: found.miou for name, found in scores.items()},
            shown.dots,
            "all together, mIoU",
        )


# ---- one against another


@st.cache_data(max_entries=64, show_spinner="Drawing frames anew, two thousand times")
def compared(one: tuple, other: tuple, names: tuple[str, str], _one: ScoreCard, _other: ScoreCard) -> Comparison | str:
    """The paired bootstrap of two cards, or the sentence why there is none."""
    try:
        return compare(_one.scores, _other.scores, names)
    except LabError as error:
        return str(error)


def identity(card: ScoreCard) -> tuple:
    """What names a card for the cache."""
    return card.facts.run, card.facts.weights, card.facts.data, card.facts.settings.words


def take_frames() -> None:
    """Called when points of the frames' plot were clicked."""
    points = st.session_state["frames-plot"]["selection"]["points"]
    st.session_state["compared-frames"] = [point["customdata"][0] for point in points if point.get("customdata")]


def compare_view(shown: Shown) -> None:
    """Is A better than B, and on which frames."""
    if len(shown.cards) < 2:
        st.caption("Choose two runs or more above, and score them alike.")
        return
    ids = list(shown.cards)
    ids.sort(key=lambda run_id: -np.nan_to_num(shown.cards[run_id].scores.miou))
    left, right = st.columns(2)
    one = left.selectbox("A", ids, format_func=shown.names.get, key="compare-a")
    rest = [run_id for run_id in ids if run_id != one]
    other = right.selectbox("B", rest, format_func=shown.names.get, key="compare-b")
    found = {
        run_id: compared(
            identity(shown.cards[one]),
            identity(shown.cards[run_id]),
            (shown.names[one], shown.names[run_id]),
            shown.cards[one],
            shown.cards[run_id],
        )
        for run_id in [other, *(run_id for run_id in rest if run_id != other)]
    }
    if isinstance(found[other], str):
        failed_state(found[other])
        return
    st.markdown(f"**{plain(found[other].sentence)}**")
    wide, narrow = st.columns([3, 2], gap="large")
    with wide:
        st.subheader("Difference, with its 95 % interval")
        lines = {run_id: result for run_id, result in found.items() if not isinstance(result, str)}
        titled = {f"A against {shown.names[run_id]}": result for run_id, result in lines.items()}
        dots = {f"A against {shown.names[run_id]}": shown.colors[run_id] for run_id in lines}
        st.plotly_chart(interval_figure(titled, dots), key="interval", config=PLAIN)
        st.caption(
            "2000 times as many frames were drawn with replacement, the same for both. How much this varies is how much it depends on "
            "the frames; another seed of the training isn't in it."
        )
        st.subheader("Settings that differ")
        changed = differences(shown.runs[one].config, shown.runs[other].config)
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{html.escape(str(mine))}</td><td>{html.escape(str(theirs))}</td></tr>"
            for name, (mine, theirs) in changed.items()
        )
        if rows:
            st.html(
                f'<div class="lab-scroll"><table class="lab-table"><tr><th></th><th>A</th><th>B</th></tr>{rows}</table></div>'
            )
        else:
            st.caption("None: the two were trained with the same settings.")
    with narrow:
        st.subheader("Frame by frame")
        pairs = zip(shown.cards[one].scores.per_image(), shown.cards[other].scores.per_image(), strict=True)
        values = {mine["id"]: (mine["miou"], theirs["miou"]) for mine, theirs in pairs}
        values = {frame: pair for frame, pair in values.items() if None not in pair}
        st.plotly_chart(
            frames_figure(
                list(values),
                [pair[0] for pair in values.values()],
                [pair[1] for pair in values.values()],
                (f"A: {shown.names[one]}", f"B: {shown.names[other]}"),
                f"rgb{ACCENT}",
            ),
            key="frames-plot",
            on_select=take_frames,
            selection_mode=("points", "box"),
            config=PLAIN,
        )
        st.caption("Each point is a frame, above the line where A is better. Click one to look at it.")
    clicked = [frame for frame in st.session_state.get("compared-frames", ()) if frame in values]
    order = sorted(values, key=lambda frame: values[frame][0] - values[frame][1])
    listed = clicked or [*order[-FRAMES // 2 :][::-1], *order[: FRAMES // 2]]
    st.subheader("Frames" if clicked else "Frames that tell them apart")
    said = {frame: f"{100 * (values[frame][0] - values[frame][1]):+.1f} points" for frame in dict.fromkeys(listed)}
    frame_links(dict(list(said.items())[:FRAMES]), [shown.runs[one], shown.runs[other]], shown.settings)


def cost_view(boards: Sequence[Board], shown: Shown) -> None:
    """Scores against costs, over every run that was scored alike."""
    scored = [board for board in boards if board.is_scored]
    if not scored:
        st.caption("No run is scored yet.")
        return
    keys = {key_of(card) for card in shown.cards.values()}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        cost = st.segmented_control(
            "Cost",
            list(COSTS),
            format_func=lambda key: COSTS[key].title,
            default="parameters",
            required=True,
            key="cost",
        )
        metric = st.selectbox(
            "Score", list(METRICS), format_func=lambda key: METRICS[key].title, key="cost-score", width=200
        )
        place = st.selectbox(
            "Scored",
            range(len(scored)),
            index=next((number for number, board in enumerate(scored) if board.key in keys), 0),
            format_func=lambda number: scored[number].words,
            key="cost-board",
        )
    board = scored[place]
    sign = 1 if METRICS[metric].best is max else -1
    points = {
        entry.run: (entry.costs[cost], entry.scores[metric])
        for entry in board.entries
        if entry.costs[cost] is not None and entry.scores[metric] is not None
    }
    if not points:
        st.caption("None of these runs has both. Take another score or another cost.")
        return
    front = frontier({run: (price, sign * score) for run, (price, score) in points.items()})
    titles = (f"{COSTS[cost].title}{f', {COSTS[cost].unit}' * bool(COSTS[cost].unit)}", METRICS[metric].title)
    st.plotly_chart(pareto_figure(points, front, shown.names, shown.colors, titles), key="pareto", config=PLAIN)
    st.caption(
        "On the dotted line stands who can't be had better at no higher cost. Milliseconds are of one picture at a time, beside "
        "whatever this machine was doing then; a multiply-add counts as two operations."
    )


# ---- under other conditions


def robustness_view(chosen: Sequence[str], shown: Shown, busy: bool) -> None:
    """How much of a score is left under corruptions."""
    frames = st.number_input("Frames, at even distances", 2, 500, ROBUSTNESS_FRAMES, key="robustness-frames", width=220)
    settings = robustness_settings(shown.settings, int(frames))
    seconds = [
        robustness_seconds(
            shown.runs[run_id], shown.cards[run_id].facts.milliseconds if run_id in shown.cards else None, int(frames)
        )
        for run_id in chosen
    ]
    known = [value for value in seconds if value is not None]
    estimate = f"about {time_words(sum(known) / len(known) * len(chosen))}" if known else "known once it has begun"
    st.caption(
        f"Seven corruptions and resolution loss in five strengths each, on {int(frames)} frames ({robustness_settings(shown.settings, 0).words}). "
        f"What that takes: {estimate}."
    )
    st.button(
        f"Score {len(chosen)} runs under corruptions" if len(chosen) > 1 else "Score it under corruptions",
        icon=":material/thunderstorm:",
        disabled=busy,
        key="score-robustness",
        on_click=start,
        args=(list(chosen), settings, "robustness"),
    )
    cards = {run_id: found for run_id in chosen if (found := find_robustness(shown.runs[run_id]))}
    if not cards:
        st.caption("No robustness card yet.")
        return
    relative = (
        st.segmented_control(
            "Shown as",
            ["miou", "share"],
            format_func={"miou": "mIoU", "share": "Share of the score as it is"}.get,
            default="miou",
            required=True,
            key="robustness-as",
        )
        == "share"
    )
    for run_id, (card, stale) in cards.items():
        mark = " · trained on since" if stale else ""
        st.subheader(plain(shown.names[run_id]))
        st.plotly_chart(robustness_figure(card.miou, relative), key=f"robustness-{run_id}", config=PLAIN)
        st.caption(f"{card.facts.settings.words}, {card.facts.size[1]} x {card.facts.size[0]} pixels{mark}.")
    if len({(card.facts.data, card.facts.size, card.facts.settings.words) for card, _ in cards.values()}) > 1:
        st.caption("These runs were tried on other frames or otherwise, so that no table sets them side by side.")
        return
    kinds = [kind for kind in next(iter(cards.values()))[0].miou if kind != "none"]
    columns = {
        shown.names[run_id]: [left_under(card.miou, kind) for kind in kinds] for run_id, (card, _) in cards.items()
    }
    dots = {shown.names[run_id]: shown.colors[run_id] for run_id in cards}
    class_table(kinds, None, columns, {}, dots)
    st.caption("Mean over the five strengths, as a share of the score on the frames as they are.")


def left_under(miou: dict[str, dict[int, float | None]], kind: str) -> float | None:
    """Mean share of the clean score that is left under a corruption."""
    clean = miou["none"][0]
    values = [value for value in miou[kind].values() if value is not None]
    return sum(values) / len(values) / clean if values and clean else None


def ceilings_view(shown: Shown) -> None:
    """What would be possible at a stride, on these data and in the paper."""
    card = next(iter(shown.cards.values()))
    own = card.facts.ceilings
    width, height = card.facts.size[1], card.facts.size[0]
    left, right = st.columns(2, gap="large")
    with left:
        columns = {
            f"these {card.facts.frames} frames at {width} x {height}": [own.get(stride) for stride in PAPER_CEILINGS],
            "Cityscapes paper, Table 3": list(PAPER_CEILINGS.values()),
        }
        dots = dict(zip(columns, (f"rgb{ACCENT}", "var(--lab-warn)"), strict=True))
        class_table([f"x{stride}" for stride in PAPER_CEILINGS], None, columns, {}, dots)
        st.caption(
            "Mean IoU of the truth itself, scaled down by this factor and up again, by nearest neighbour. The paper's are for 500 frames "
            "at 2048 x 1024; in smaller frames the same factor loses more."
        )
    with right:
        for run_id, card in shown.cards.items():
            facts = card.facts
            st.html(
                f'<p><i class="lab-dot" style="background:{shown.colors[run_id]}"></i>{html.escape(shown.names[run_id])}: '
                f"<b>{card.scores.miou:.1%}</b> {ceiling_words(facts.ceiling, facts.pixels_per_cell)}</p>"
            )
        st.caption(
            "A cell is what one score of the network's coarsest map covers. Here the truth is enlarged smoothly, as networks enlarge "
            "their scores, which draws better edges than the table's way."
        )


# ---- the benchmark


def benchmark_view(chosen: Sequence[str], shown: Shown, busy: bool) -> None:
    """The archive for the Cityscapes server: made, checked, offered."""
    able = [
        run_id
        for run_id in chosen
        if shown.runs[run_id].classes == CITYSCAPES_19.classes and shown.runs[run_id].config.dataset.name != "folder"
    ]
    if not able:
        st.caption(
            "The benchmark takes the 19 classes of Cityscapes on its own frames. None of the chosen runs tells these apart."
        )
        return
    st.markdown(
        "The benchmark server at [cityscapes-dataset.com](https://www.cityscapes-dataset.com/submit/) takes a ZIP of label ids at "
        "2048 x 1024, one picture for each of the 1525 test frames. It is made here, checked, and kept in the run's folder."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        run_id = st.selectbox("Run", able, format_func=shown.names.get, key="benchmark-run")
        split = st.segmented_control(
            "Split",
            list(SPLITS),
            format_func=str.capitalize,
            default="test",
            required=True,
            key="benchmark-split",
            help="Test frames have no public labels; val shows what an archive looks like.",
        )
        st.button(
            "Make the archive",
            icon=":material/folder_zip:",
            disabled=busy,
            key="make-archive",
            on_click=start_archive,
            args=(run_id, split, shown.settings),
        )
    run = shown.runs[run_id]
    archives = list_archives(run.path)
    if not archives:
        st.caption("No archive of this run yet.")
    for path, archive in archives:
        made = time.strftime("%d %B %Y, %H:%M", time.localtime(archive.made))
        which = "last" if "last" in archive.words else "best"
        stale = " The checkpoint was replaced since." if checkpoint_digest(run.path, which) != archive.weights else ""
        st.markdown(
            f"**{archive.split.capitalize()}**: {archive.frames:,} frames, {size_words(archive.size)}, {archive.words}, checked "
            f"{made}.{stale}"
        )
        st.code(str(path), language=None)
        if archive.size < LARGEST_DOWNLOAD:
            st.download_button(
                "Download",
                path.read_bytes,
                file_name=f"{run.id}-{archive.split}.zip",
                mime="application/zip",
                icon=":material/download:",
                key=f"download-{archive.split}",
                on_click="ignore",
            )


# page layout
st.title("Scores")
everyone = list_runs(runs_folder())
able = {run.id: run for run in everyone if run.config and (run.has_checkpoint("best") or run.has_checkpoint("last"))}
if not able:
    empty_state(
        "Nothing to score yet",
        "A run can be scored from its first evaluation on: every class, where it errs, how sure it is, and what it costs.",
    )
    _, middle, _ = st.columns([2, 2, 2])
    if middle.button("Train networks", type="primary", width="stretch", icon=":material/model_training:"):
        st.switch_page("../pages/train.py")
    st.stop()
chosen = pick_runs("Runs", able, latest_of_each_family(able), most=8)
settings = choose_settings()
busy = work_panel(able)
boards = leaderboard(everyone)
by_id = {run.id: run for run in everyone}
everything = Shown({}, by_id, {run.id: run_name(run) for run in everyone}, run_colors(everyone), settings)
found = {run_id: scored for run_id in chosen if (scored := find_score(able[run_id], settings))}
if chosen:
    score_button(chosen, [run_id for run_id in chosen if run_id not in found or found[run_id].is_stale], settings, busy)
    at_a_glance(chosen, found, everything)
alike = {}
for run_id, scored in found.items():
    first, card = next(iter(found.values())).card, scored.card
    if key_of(card) == key_of(first):
        alike[run_id] = card
shown = replace(everything, cards=alike)
view = st.segmented_control(
    "Look at", list(VIEWS), format_func=VIEWS.get, default="board", required=True, key="view", bind="query-params"
)
if len(alike) < len(found) and view not in ("board", "cost", "robustness", "benchmark"):
    others = ", ".join(plain(shown.names[run_id]) for run_id in found if run_id not in alike)
    st.caption(f"Left out: {others}, scored on other data or other classes.")
match view:
    case "board":
        boards_panel(boards, shown)
    case "cost":
        cost_view(boards, shown)
    case _ if not chosen:
        st.caption("Choose at least one run.")
    case "robustness":
        robustness_view(chosen, shown, busy)
    case "benchmark":
        benchmark_view(chosen, shown, busy)
    case _ if not alike:
        st.caption("None of the chosen runs is scored so yet. Score them with the button above.")
    case "classes":
        classes_view(shown)
    case "confusion":
        confusion_view(shown)
    case "calibration":
        calibration_view(shown)
    case "where":
        where_view(shown)
    case "compare":
        compare_view(shown)
    case "ceilings":
        ceilings_view(shown)

"""Data: frames under their labels, what augmentation makes of them, what is wrong with them, and what they hold of each
class.
"""

import hashlib
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from markupsafe import Markup

from app.class_table_form import class_table_form
from app.datasets import (
    SPLIT_LABELS,
    SplitDataset,
    choose_dataset,
    find_dataset,
    frame_size,
    is_here,
    opened,
    paint_first,
    save_classes,
)
from app.download_panel import download_panel
from app.figures import ACCENT, class_shares_figure, cooccurrence_figure
from app.folder_card import folder_card
from app.forms import augmentation_form, fields_form
from app.html import joined, show, show_drawing
from app.images import colors_address, image_address, map_address, truth_of
from app.job_panel import show_job, try_start
from app.preparing import begin, newly_finished, show_preparation
from app.tables import Cell, badge, swatch, table
from app.viewer import Panel, viewer
from app.widgets import RUN_COLORS, failed_state
from core.auth import current_user
from core.config import DatasetConfig, TrainingConfig, read_config
from core.data.annotations.masks import UnpaintedError
from core.data.cache import Kind, cache_size, find_cache, list_caches, remove_caches
from core.data.cityscapes import LABEL_FOLDERS
from core.data.dataset import Dataset, spread
from core.data.doctor import Finding, Report
from core.data.frames import Frame
from core.data.joint_list import is_joint
from core.data.preparation import report_of
from core.data.sources import SOURCES
from core.data.statistics import AT_ONCE, SAMPLE, FrameCounts, count_classes, count_frames, recall_counts
from core.data.transforms import Augmentation
from core.errors import LabError
from core.escaping import escape_markdown
from core.inference.pseudo_label_job import start_pseudo_labels, to_label
from core.jobs.kinds import latest
from core.labels import IGNORED
from core.paths import cache_folder, runs_folder
from core.runs.store import Run, list_runs
from core.text import format_bytes, plural

LONG_SPLIT = 5000
"""From so many frames on a split opens at its first city: a browser is slow to take longer lists."""

CROPS = 6

NO_LABELS = np.full((8, 16), IGNORED, np.uint8)
SEVERITIES = {"error": "Error", "warning": "Warning", "note": "Note"}
REMEMBERED_S = 600.0
"""How long an examination is shown to who comes back: files and tables change."""
KINDS = {"raw": "raw", "jpeg": "as JPEG"}


def get_cityscapes(expanded: bool) -> None:
    """Draw the panel that downloads Cityscapes: for those who have none yet, and for what is still missing."""
    with st.expander("Get Cityscapes", icon=":material/cloud_download:", expanded=expanded):
        download_panel()


# counting


@st.cache_data(ttl=600, max_entries=16, show_spinner="Counting the classes")
def _counted(key: str, _dataset: Dataset, _frames: Sequence[Frame]) -> FrameCounts | str:
    try:
        if len(_frames) > AT_ONCE:
            return recall_counts(_dataset, _frames) or count_frames(_dataset, spread(_frames, SAMPLE))
        return count_frames(_dataset, _frames)
    except LabError as error:
        return str(error)  # remembered as well: the next click must not count up to the broken file again


def counts_of(dataset: Dataset, split: str, frames: Sequence[Frame]) -> FrameCounts:
    """Return the counts of a split's labelled frames, or of a sample of many.

    Raises LabError when a label file can't be read.
    """
    labelled = [frame for frame in frames if frame.labels]
    counts = _counted(
        f"{dataset.root}|{dataset.size}|{dataset.space.digest}|{split}|{len(labelled)}", dataset, labelled
    )
    if isinstance(counts, str):
        raise LabError(counts)
    return counts


# looking


def restore(key: str, options: Sequence[str], named: str | None = None) -> None:
    """Make a widget's state one of its options: what it is, else what the address named, else the first."""
    wishes = (st.session_state.get(key), named, *options[:1])
    st.session_state[key] = next((wish for wish in wishes if wish in options), None)


def step(key: str, ids: Sequence[str], by: int) -> None:
    """Go on in a list of frames, past its end to the other one."""
    st.session_state[key] = ids[(ids.index(st.session_state[key]) + by) % len(ids)]


def choose_frame(here: SplitDataset) -> tuple[Frame | None, st.delta_generator.DeltaGenerator]:
    """Draw widgets that find a frame by split and city.

    Returns the frame, where there is such a one, and the place for `offer_classes`.
    """
    named = st.query_params
    if st.session_state.get("shows", named.get("shows")) not in here.dataset.space.class_names:
        st.session_state["shows"] = None  # other classes are told apart now
    st.session_state.setdefault("shows", named.get("shows"))
    restore("split", list(here.splits), named.get("split"))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        split = st.segmented_control(
            "Split", list(here.splits), format_func=SPLIT_LABELS.get, required=True, key="split"
        )
        frames: Sequence[Frame] = here.splits[split]
        cities = sorted({frame.city for frame in frames})
        if len(cities) > 1:
            options = ["", *cities] if len(frames) <= LONG_SPLIT else cities
            restore(f"city-{split}", options, named.get("city"))
            group = SOURCES[here.dataset.name].group
            city = st.selectbox(
                group.capitalize(),
                options,
                format_func=lambda name: name or f"Every {group}",
                width=170,
                key=f"city-{split}",
            )
            frames = [frame for frame in frames if city in ("", frame.city)]
        slot = st.container(width=210)
        shown = frames_that_show(here, split)
        frames = [frame for frame in frames if shown is None or frame.id in shown]
        ids = [frame.id for frame in frames]
        key = f"frame-{split}"
        restore(key, ids, named.get("frame"))
        st.selectbox(f"Frame, one of {len(ids):,}", ids, key=key, disabled=not ids)
        for label, icon, by in (("Previous frame", "arrow_back", -1), ("Next frame", "arrow_forward", 1)):
            st.button(
                label,
                icon=f":material/{icon}:",
                key=f"step{by}",
                disabled=len(ids) < 2,
                on_click=step,
                args=(key, ids, by),
            )
    if not ids:
        st.caption("No frame shows this class here. Choose another class, city or split.")
        return None, slot
    chosen = {"city": st.session_state.get(f"city-{split}"), "shows": st.session_state["shows"]}
    for name, value in ({"split": split, "frame": st.session_state[key]} | chosen).items():
        if value:
            named[name] = value
        else:
            named.pop(name, None)
    return frames[ids.index(st.session_state[key])], slot


def frames_that_show(here: SplitDataset, split: str) -> set[str] | None:
    """Return the ids of the counted frames that show the class that is asked for; None where every frame will do."""
    wish = st.session_state["shows"]
    if wish is None:
        return None
    try:
        return set(counts_of(here.dataset, split, here.splits[split]).shows(here.dataset.space.class_names.index(wish)))
    except LabError:
        return None  # said where the counts are plotted


def offer_classes(here: SplitDataset, split: str) -> None:
    """Draw the choice of a class that a frame must show.

    Drawn last, since it waits for the counting and the picture shouldn't.
    """
    labelled = sum(frame.labels is not None for frame in here.splits[split])
    try:
        counts = counts_of(here.dataset, split, here.splits[split])
    except LabError:
        return
    class_names = here.dataset.space.class_names
    there = [name for name, images in zip(class_names, counts.images, strict=True) if images]
    if not there:
        return
    if st.session_state["shows"] not in (None, *there):
        there.append(st.session_state["shows"])  # what another split has shows nothing here, and stays chosen
    sampled = len(counts.ids) < labelled
    st.selectbox(
        "Shows class",
        there,
        index=None,
        placeholder="Any class",
        help=f"Knows the {len(counts.ids):,} frames that were counted of {labelled:,}." if sampled else None,
        key="shows",
    )
    if sampled and st.session_state["shows"]:
        st.caption(f"Of {len(counts.ids):,} counted frames; there are {labelled:,}.")


def newest_run_on(dataset: Dataset) -> Run | None:
    """Return the newest run that learned from a data set and can label its frames; None where there is none."""
    for run in list_runs(runs_folder()):
        if (
            run.config is None
            or run.config.dataset.name != dataset.name
            or run.class_names != dataset.space.class_names
        ):
            continue
        with suppress(LabError):  # its folder is gone, or another person's
            root = SOURCES[dataset.name].root(run.config.dataset.root)
            if root == dataset.root and run.has_checkpoint("best"):
                return run
    return None


def pseudo_labels(run: Run, config: DatasetConfig, count: int) -> None:
    """Offer to label the photographs that have no mask, and go over to the data set that then holds both."""
    job = latest("pseudo-labels")
    folder = Path(job.request["dataset"]["root"]).name if job else ""
    if show_job("pseudo-labels", job, f"Labelling photographs of {folder}"):
        return
    if job and job.state == "finished" and Path(job.result["root"]).is_dir():
        st.caption(
            f"{plural(job.result['frames'], 'photograph')} of {escape_markdown(folder)} labelled,"
            f" {job.result['labelled']:.0%} of their pixels."
        )
        st.button("Open the joint data set", icon=":material/join:", on_click=_open_folder, args=(job.result["root"],))
    st.button(
        f"Label {plural(count, 'photograph')} without masks",
        icon=":material/auto_fix_high:",
        help=(
            "Your newest run on these data labels what it is sure of. The result is a new data set of both, whose"
            " validation frames stay those with masks of yours."
        ),
        on_click=try_start,
        args=("pseudo-labels", partial(start_pseudo_labels, run.id, config)),
    )


def _open_folder(root: str) -> None:
    st.session_state["folder-root"] = root


def coarse_twin(dataset: Dataset, frame: Frame) -> Frame | None:
    """Return the same frame with its coarse labels, where the data set has them."""
    kind = LABEL_FOLDERS["coarse"]
    folder = dataset.root / kind / frame.split / frame.city
    names = (f"{frame.id}_{kind}_labelIds.png", f"{frame.id}_{kind}_polygons.json")
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    return replace(frame, labels=path) if path and path != frame.labels else None


def show_frame(dataset: Dataset, frame: Frame) -> None:
    """Show the frame in the viewer, under its fine and, where there are any, its coarse labels."""
    image, target, digest = truth_of(frame, dataset)
    says = ""
    if target is None:
        panels = [Panel("Photograph", map_address(NO_LABELS, "no labels"))]
        says = "This photograph has no labels, so it is neither learned from nor scored."
    else:
        is_coarse = LABEL_FOLDERS["coarse"] in frame.labels.parts
        panels = [
            Panel("Coarse labels" if is_coarse else "Labels", map_address(target, "truth", digest), is_truth=True)
        ]
        if (target == IGNORED).all():
            says = "No pixel of these labels belongs to a class, as in the test frames, whose labels are kept secret."
        twin = coarse_twin(dataset, frame) if SOURCES[dataset.name].has_coarse else None
        if twin:
            _, coarse, coarse_digest = truth_of(twin, dataset)
            panels[0] = replace(panels[0], title="Fine labels")
            panels.append(Panel("Coarse labels", map_address(coarse, "truth", coarse_digest)))
    viewer(
        image_address(image, digest),
        panels,
        dataset.space.class_names,
        dataset.space.colors,
        key="data-viewer",
        name=frame.id,
        aspect=image.shape[1] / image.shape[0],
    )
    if says:
        st.caption(says)


# what the network will see


def what_the_network_sees(here: SplitDataset, frame: Frame, root: str) -> None:
    """Show crops of a frame as a training draws them, with the fields that shape them; `root` as it was chosen."""
    area = st.expander("What the network will see", icon=":material/crop:", key="crops-open", on_change="rerun")
    if not area.open:
        return
    with area:
        left, fields = st.columns([5, 2], gap="medium")
        with fields:
            values = augmentation_form("crops")
            size = {"height": here.dataset.size[0], "width": here.dataset.size[1]}
            chosen_size = fields_form("dataset", list(size), size, f"size-{root}")
            if chosen_size != size:
                try:
                    read_config({"dataset": chosen_size})
                except LabError as error:
                    failed_state(error)
                else:
                    st.session_state.setdefault("frame-size", {})[root] = chosen_size
                    st.rerun()
            drawn = st.session_state.setdefault("crops-drawn", 0)
            if st.button("Draw others", icon=":material/casino:", width="stretch", key="draw-others"):
                drawn = st.session_state["crops-drawn"] = drawn + 1
        with left:
            try:
                draw_crops(here.dataset, frame, values, [drawn * CROPS + index + 1 for index in range(CROPS)])
            except LabError as error:
                failed_state(error)


@dataclass(frozen=True)
class TrainFrames:
    """The training frames of a data set, with another frame in the place of one."""

    dataset: Dataset
    index: int
    frame: Frame

    def __len__(self) -> int:
        return len(self.dataset.train)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        frame = self.frame if index == self.index else self.dataset.train[index]
        return self.dataset.image(frame), self.dataset.target(frame)


def draw_crops(dataset: Dataset, frame: Frame, values: dict[str, Any], epochs: list[int]) -> None:
    """Show where the crops of some epochs lie in the frame, and each with its mask.

    Raises LabError where they can't be had.
    """
    training: TrainingConfig = read_config({"training": values}).training
    shares = count_classes(dataset, dataset.train).shares if training.rare_crops or training.copy_paste else None
    augmentation = Augmentation.from_config(training, class_shares=shares)
    image, target = dataset.image(frame), dataset.target(frame)
    index = dataset.train.index(frame) if frame in dataset.train else 0
    outlines, crops = [], []
    for row, epoch in enumerate(epochs):
        key = (training.seed, epoch, index)
        outlines.append(augmentation.corners(dataset.size, target, np.random.default_rng(key)))
        crop, mask = augmentation.crop_of(TrainFrames(dataset, index, frame), index, np.random.default_rng(key))
        crops.append(crop_figure(crop, mask, dataset, epoch, RUN_COLORS[row]))
    show_drawing(outlines_figure(image, outlines))
    show(Markup('<div class="lab-crops">{}</div>').format(joined(crops)))
    if frame in dataset.train:
        st.caption("A run with seed 0 draws these very crops of this frame in these epochs.")
    else:
        st.caption("Only training frames are cropped; this one would look like that.")


def crop_figure(crop: np.ndarray, mask: np.ndarray, dataset: Dataset, epoch: int, color: str) -> Markup:
    """HTML of a crop, uint8 (h, w, 3), above its mask, uint8 (h, w)."""
    address = image_address(crop, content_digest(crop))
    colored = colors_address(
        mask, dataset.space.palette, "crop", content_digest(mask), dataset.space.colors, mask.shape
    )
    figure = Markup(
        '<figure style="border-color:{0}"><img src="{1}" alt="crop of epoch {3}"><img src="{2}" alt="its mask">'
        "<figcaption>epoch {3}</figcaption></figure>"
    )
    return figure.format(color, address, colored, epoch)


def outlines_figure(image: np.ndarray, outlines: Sequence[np.ndarray]) -> Markup:
    """HTML of a small frame, uint8 (H, W, 3), with the outlines of crops, each float (4, 2) corners (x, y) in its
    pixels.
    """
    height, width = image.shape[:2]
    shapes = joined(
        Markup('<polygon points="{}" stroke="{}"/>').format(" ".join(f"{x:.1f},{y:.1f}" for x, y in corners), color)
        for corners, color in zip(outlines, RUN_COLORS, strict=False)
    )
    figure = Markup(
        '<figure class="lab-outlines"><img src="{}" alt="the whole frame"><svg viewBox="0 0 {} {}">{}</svg></figure>'
    )
    return figure.format(image_address(image, content_digest(image)), width, height, shapes)


def content_digest(pixels: np.ndarray) -> str:
    """Return a text that names an array by its bytes: what a crop follows from is more than a line could say."""
    return hashlib.sha256(pixels.tobytes()).hexdigest()


# the doctor


def doctor(config: DatasetConfig) -> None:
    """Show what is wrong with a data set, also with one that can't be opened."""
    try:
        SOURCES[config.name].root(config.root)
    except LabError:
        return  # said already
    st.subheader("Is the data in order?")
    reports = st.session_state.setdefault("reports", {})
    job = newly_finished("examine")
    if job and time.time() - job.updated < REMEMBERED_S:
        reports[_examined(DatasetConfig.model_validate(job.request["dataset"]))] = report_of(job)
    key = _examined(config)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Examine again" if key in reports else "Examine",
            icon=":material/stethoscope:",
            key="examine",
            on_click=begin,
            args=("examine", config),
        )
        if key not in reports:
            st.caption("Opens every photograph and every mask, and says in words what doesn't fit and how to mend it.")
    if not show_preparation("examine") and key in reports:
        report_panel(reports[key])


def _examined(config: DatasetConfig) -> tuple[str, str, float, str]:
    """Return what a report depends on, besides the files."""
    return config.root, config.classes, config.val_fraction, config.group_by


def report_panel(report: Report) -> None:
    """Show a report of the doctor: headline, findings by severity, classes, sizes, and a proposed class table."""
    by_severity = {
        severity: [finding for finding in report.findings if finding.severity == severity] for severity in SEVERITIES
    }
    counted = [plural(len(some), SEVERITIES[severity].lower()) for severity, some in by_severity.items() if some]
    pairs = ", ".join(f"{count:,} in {split}" for split, count in report.pairs.items()) or "none"
    st.markdown(
        f"**{'In order' if report.healthy else 'A training would refuse this data'}**:"
        f" {', '.join(counted) or 'nothing was found'}. Pairs of photograph and mask: {pairs}."
        f" {escape_markdown(report.split_source)}"
    )
    if report.findings:
        show(joined(finding_row(finding) for some in by_severity.values() for finding in some))
    if report.proposal:
        st.markdown("A class table that fits these masks. Look its names over before you save it.")
        is_long = report.proposal.count("\n") > 10
        st.code(report.proposal, language="json", height=260 if is_long else "content")
        with st.container(horizontal=True, vertical_alignment="center"):
            saved = st.button("Save as classes.json in the folder", icon=":material/save:", key="save-proposal")
            st.download_button(
                "Download classes.json",
                report.proposal,
                "classes.json",
                "application/json",
                icon=":material/download:",
                on_click="ignore",
                key="download-proposal",
            )
        st.caption(
            f"The folder is {escape_markdown(str(report.root))}. A classes.json of this lab that lies there is kept as"
            " classes.json.old."
        )
        if saved:
            save_proposal(report)
    if report.classes and any(sum(pixels) for pixels in report.pixels.values()):
        class_rows(report)
    if report.sizes:
        sizes = ", ".join(f"{size} ({count:,})" for size, count in report.sizes.items())
        st.caption(f"Sizes of the photographs, in pixels: {sizes}.")


def save_proposal(report: Report) -> None:
    """Write the proposed class table into its folder."""
    try:
        save_classes(report.root, report.proposal)
    except LabError as error:
        failed_state(error)
        return
    st.toast("classes.json is saved. Examine the folder again.", icon=":material/check:")
    st.rerun()


def finding_row(finding: Finding) -> Markup:
    """HTML of a finding: how severe, what it is, what to do, and in which files."""
    files = Markup("")
    if finding.files:
        count = max(finding.count, len(finding.files))
        names = [*finding.files, *([f"and {count - len(finding.files):,} more"] if count > len(finding.files) else [])]
        listed = Markup("<details><summary>{:,} {}</summary><pre>{}</pre></details>")
        files = listed.format(count, "files" if count != 1 else "file", "\n".join(names))
    fix = Markup("<p>{}</p>").format(finding.fix) if finding.fix else ""
    row = Markup('<article class="lab-finding {}">{}<div><p>{}</p>{}{}</div></article>')
    return row.format(finding.severity, badge(SEVERITIES[finding.severity]), finding.sentence, fix, files)


def class_rows(report: Report) -> None:
    """Show the share of the pixels and of the frames per class and split, as a table."""
    splits = [split for split in report.pixels if split in ("train", "val")]
    head = ["", *(f"{what}, {split}" for split in splits for what in ("pixels", "frames"))]
    rows = []
    for index, (name, color) in enumerate(zip(report.classes, report.colors, strict=True)):
        cells = []
        for split in splits:
            for share in (
                report.pixels[split][index] / max(1, sum(report.pixels[split])),
                report.images[split][index] / max(1, report.pairs.get(split, 0)),
            ):
                cells.append(f"{share:.2%}" if share else Cell("none", "lab-quiet"))
        rows.append([joined([swatch(color), name]), *cells])
    with st.expander(f"{len(report.classes)} classes"):
        table(head, rows)


# what it holds of each class


def plots(here: SplitDataset, config: DatasetConfig) -> None:
    """Show class shares of both splits, and which classes are seen together."""
    dataset = here.dataset
    counts: dict[str, FrameCounts] = {}
    for split, frames in (("train", dataset.train), ("val", dataset.val)):
        if frames:
            counts[split] = counts_of(dataset, split, frames)
    if not counts:
        return
    class_names, colors = dataset.space.class_names, dataset.space.colors
    main = next(iter(counts))
    left, right = st.columns(2, gap="large")
    with left:
        st.subheader("Share of each class", help="Of the labelled pixels. The paler bars are the validation frames'.")
        shares = {split: each.shares.tolist() for split, each in counts.items()}
        st.plotly_chart(
            class_shares_figure(class_names, colors, shares), config={"displayModeBar": False}, key="shares"
        )
    with right:
        st.subheader(
            "Seen together", help=f"In the frames of {main}: a row's class is there; how often is the column's?"
        )
        shown = np.flatnonzero(counts[main].images).tolist()
        figure = cooccurrence_figure(
            [class_names[class_index] for class_index in shown],
            counts[main].cooccurrence[np.ix_(shown, shown)].tolist(),
            ACCENT,
        )
        st.plotly_chart(figure, config={"displayModeBar": False}, key="together")
    labelled = sum(each.pixels.sum() for each in counts.values())
    ignored = sum(each.ignored.sum() for each in counts.values())
    if ignored:
        st.caption(
            f"{ignored / (ignored + labelled):.1%} of the pixels carry no class: they are neither learned from nor"
            " scored."
        )
    missing = [name for index, name in enumerate(class_names) if not counts[main].images[index]]
    if missing:
        st.caption(
            f"Never there in {main}: {escape_markdown(', '.join(missing))}. A network can't learn what it never sees."
        )
    if show_preparation("count"):
        return
    for split, frames in (("train", dataset.train), ("val", dataset.val)):
        if split in counts and len(counts[split].ids) < len(frames):
            count_all(config, split, frames, len(counts[split].ids))


def count_all(config: DatasetConfig, split: str, frames: Sequence[Frame], counted: int) -> None:
    """Say that a sample was counted, and offer to count the rest."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"Counted in {counted:,} of {len(frames):,} frames of {split}, evenly spread.")
        st.button(
            f"Count all {len(frames):,} frames",
            icon=":material/functions:",
            key=f"count-{split}",
            on_click=begin,
            args=("count", config),
            kwargs={"split": split},
        )


# decoded frames on disk


@st.cache_data(ttl=600, max_entries=8, show_spinner="Measuring a few frames")
def _cache_bytes(key: str, kind: Kind, _dataset: Dataset) -> int:
    return sum(cache_size(_dataset, frames, kind) for frames in (_dataset.train, _dataset.val) if frames)


def decoded_frames(dataset: Dataset, config: DatasetConfig) -> None:
    """Show what a cache of the chosen data would take, buttons that make one, and the caches that are there."""
    area = st.expander("Decoded frames on disk", icon=":material/hard_drive:", key="cache-open", on_change="rerun")
    if not area.open:
        return
    with area:
        try:
            if not show_preparation("cache"):
                offer_caches(dataset, config)
            list_of_caches()
        except LabError as error:
            failed_state(error)


def offer_caches(dataset: Dataset, config: DatasetConfig) -> None:
    """Draw buttons that keep the chosen data, raw or as JPEG. Raises LabError where that fails."""
    parts = [frames for frames in (dataset.train, dataset.val) if frames]
    folder = cache_folder()
    while not folder.exists():
        folder = folder.parent
    st.markdown(
        f"Frames that are kept need not be decoded again by any run: here {sum(map(len, parts)):,} of {dataset.size[1]}"
        f" x {dataset.size[0]} pixels, training and validation; {format_bytes(shutil.disk_usage(folder).free)} are"
        " free. Raw is exact; JPEG loses what the eye doesn't see, its masks are exact."
    )
    key = f"{dataset.root}|{dataset.size}|{len(dataset.train)}|{len(dataset.val)}"
    with st.container(horizontal=True):
        for kind, title in KINDS.items():
            if all(find_cache(dataset, frames, kind) for frames in parts):
                st.button(f"Kept {title}", icon=":material/check:", disabled=True, key=f"keep-{kind}")
            else:
                st.button(
                    f"Keep them {title} ({format_bytes(_cache_bytes(key, kind, dataset))})",
                    key=f"keep-{kind}",
                    on_click=begin,
                    args=("cache", config),
                    kwargs={"kind": kind},
                )


def list_of_caches() -> None:
    """Show the caches that are there, each with a button that removes it."""
    entries = list_caches()
    for entry in entries:
        metadata = [
            SOURCES[entry.name].title if entry.name in SOURCES else entry.name,
            f"{', '.join(entry.splits)}: {entry.frames:,} frames",
        ]
        metadata += [f"{entry.size[1]} x {entry.size[0]}", entry.kind, format_bytes(entry.bytes)]
        if not entry.complete:
            metadata.append("being built" if entry.in_use else "unfinished")
        with st.container(horizontal=True, vertical_alignment="center"):
            line = Markup('<p class="lab-numbers">{}<br><small class="lab-quiet">{}</small></p>')
            show(line.format(" · ".join(filter(None, metadata)), entry.root))
            if st.button("Remove", icon=":material/delete:", disabled=entry.in_use, key=f"remove-{entry.key}"):
                remove_caches([entry.key])
                st.rerun()
    if (
        len(entries) > 1
        and current_user().is_admin
        and st.button("Remove all", icon=":material/delete_sweep:", key="remove-all")
    ):
        remove_caches(None)
        st.rerun()


# page layout
st.title("Data")
values = choose_dataset("data")
values |= frame_size(values)
source = SOURCES[values["name"]]
named = not source.root_title or bool(values["root"])
config, dataset = None, None
try:
    config = read_config({"dataset": values}).dataset if named and values["classes"] else None
    is_explained = bool(config) and source.group == "folder" and folder_card(config)
    dataset = opened(values)
except UnpaintedError as error:
    paint_first(values, error)
    st.stop()
except LabError as error:
    if config is None or not is_explained:
        failed_state(error)  # and go on: the doctor knows more
if source.sharing == "never" and dataset is None:
    get_cityscapes(expanded=not named)
if newly_finished("count"):
    _counted.clear()
here = None
if config and not (source.is_generated and not is_here(config)):
    try:
        here = find_dataset(config)
    except LabError as error:
        if dataset is not None:
            failed_state(error)
if here and here.splits:
    frame, slot = choose_frame(here)
    if frame:
        try:
            show_frame(here.dataset, frame)
        except LabError as error:
            failed_state(error)
    with slot:
        offer_classes(here, st.session_state["split"])
    line = Markup('<p class="lab-numbers lab-quiet">{:,} training and {:,} validation frames in {}</p>')
    show(line.format(len(here.dataset.train), len(here.dataset.val), here.dataset.root))
    if frame:
        what_the_network_sees(here, frame, values.get("root", ""))
if config and not (source.is_generated and not is_here(config)):
    try:
        doctor(config)
    except LabError as error:
        failed_state(error)
# Shapes of label tools are painted by the names of their classes, which the tool itself changes.
masks = [frame.labels for frame in here.dataset.train if frame.labels] if here and source.group == "folder" else []
if masks and (is_joint(here.dataset.root) or masks[0].is_relative_to(here.dataset.root)):
    class_table_form(here.dataset)
if here:
    try:
        plots(here, config)
    except LabError as error:
        failed_state(f"The classes can't be counted. {error}")
    if here.dataset.train or here.dataset.val:
        decoded_frames(here.dataset, config)
if source.sharing == "never" and dataset is not None:
    get_cityscapes(expanded=False)
if dataset and source.group != "folder":
    st.page_link("../pages/train.py", label="Train on this data", icon=":material/model_training:")
if here and here.splits and (run := newest_run_on(here.dataset)):
    st.page_link(
        "../pages/compare.py",
        label="Likely wrong masks",
        icon=":material/rule:",
        query_params={"runs": [run.id], "split": st.session_state["split"], "sort": "labels", "sort-run": run.id},
        help="The frames of this split in the order in which your newest run on these data doubts their labels.",
    )
    unlabelled = to_label(here.splits)
    if unlabelled and source.group == "folder" and not is_joint(here.dataset.root):
        pseudo_labels(run, config, len(unlabelled))

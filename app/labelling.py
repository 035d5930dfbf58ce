"""What the page Label shows: photographs that are labelled here, in their order, and what networks see in them."""

from collections.abc import Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import streamlit as st

from app.images import MOMENT_SECONDS, coming_panel, map_address, predictions_so_far
from app.media import encode_map
from app.services import frame_scorer, inference_worker, media, tab, visitor
from app.viewer import Edit, Panel
from app.widgets import failed_state
from core.data.dataset import Dataset
from core.data.frames import Frame
from core.errors import LabError
from core.inference.fair_queue import outcome
from core.inference.frame_scores import Count
from core.inference.prediction_cache import CachedPrediction
from core.inference.strokes import MAX_OTHERS, FewClassesError
from core.inference.worker import Painted
from core.labelling.effort import Effort, LabellingHistory
from core.labelling.label_set import LabelSet
from core.labelling.masks import Mask
from core.labelling.superpixels import find_superpixels
from core.labels import IGNORED
from core.models.mobile_sam_job import mobile_sam_weights
from core.runs.store import Run

GROWN = "From your strokes"
FEW_CLASSES = "paint strokes of two classes"
MAX_LEARNED = 20
ORDERS = {
    "new": "Without labels first",
    "unsure": "Least sure first",
    "disagreement": "Networks disagree most first",
    "name": "By name",
}


def knows(run: Run, label_set: LabelSet) -> int:
    """Return how many classes of a label set a run knows by name."""
    own = {name.casefold() for name in run.class_names}
    return sum(name.casefold() in own for name in label_set.space.class_names)


def edit_of(label_set: LabelSet, frame: str, mask: Mask, image: np.ndarray, digest: str) -> Edit:
    """Return where the patches of a frame's mask go, the superpixels of its photograph, found once a photograph, and
    where to ask which object a click means, if MobileSAM is here.
    """
    superpixels = media().address(("superpixels", digest), "png", lambda: encode_map(find_superpixels(image)))
    path = f"{label_set.slug}/{frame}"
    objects = f"/lab/object/{path}" if mobile_sam_weights() else ""
    return Edit(f"/lab/labels/{path}", mask.revision, superpixels=superpixels, objects=objects)


def mask_panel(label_set: LabelSet, frame: str, mask: Mask) -> Panel:
    """Return the panel of the mask that is painted."""
    return Panel("Your labels", map_address(mask.labels, "painted", label_set.slug, frame, mask.revision))


def network_panels(
    label_set: LabelSet,
    runs: dict[str, Run],
    names: dict[str, str],
    colors: dict[str, str],
    image: np.ndarray,
    digest: str,
) -> "tuple[list[Panel], list[Future[CachedPrediction]]]":
    """Return a panel for each run, with its answer in the classes of a label set, and the answers still to come."""
    predictions, coming = predictions_so_far(list(runs), image, digest)
    panels = []
    for run_id in runs:
        if run_id in coming:
            panels.append(coming_panel(names[run_id], colors[run_id]))
        elif run_id in predictions:
            panels.append(_panel(label_set, names[run_id], run_id, predictions[run_id], digest, colors[run_id]))
    return panels, list(coming.values())


def _panel(label_set: LabelSet, name: str, run_id: str, seen: CachedPrediction, digest: str, color: str) -> Panel:
    numbers = {each.casefold(): number for number, each in enumerate(label_set.space.class_names)}
    lookup = np.full(256, IGNORED, np.uint8)
    lookup[: len(seen.class_names)] = [numbers.get(each.casefold(), IGNORED) for each in seen.class_names]
    parts = ("joined", run_id, digest, label_set.space.digest, seen.milliseconds)
    return Panel(
        name,
        map_address(lookup[seen.labels], "labels", *parts),
        map_address(seen.confidence, "confidence", *parts),
        subtitle=f"{seen.confidence.mean() / 255:.0%} confident",
        color=color,
    )


def strokes_panel(
    label_set: LabelSet, frame: str, mask: Mask, run: Run | None, image: np.ndarray
) -> "tuple[Panel, Future[CachedPrediction] | None]":
    """Return the panel of what follows from what is painted so far, on this photograph and on those painted last, and
    its answer where that is still to come.
    """
    few = len(np.unique(mask.labels[mask.labels != IGNORED])) < 2
    weights = mobile_sam_weights()
    # By colours alone strokes on other photographs are of little use where there are some on this one: light changes.
    others = painted_last(label_set, frame) if run or weights or few else ()
    if few and not others:
        return Panel(GROWN, None, subtitle=FEW_CLASSES), None
    question = (label_set.slug, frame, mask.revision, others, run.id if run else "", weights)
    known = st.session_state.get("grown")
    if known is None or known[0] != question:
        path = run.path if run else None
        slot = (tab(), "strokes")
        future = inference_worker().ask_strokes(path, image, mask.labels, others, weights, user=visitor(), slot=slot)
        known = st.session_state["grown"] = (question, future)
    future = known[1]
    wait([future], timeout=MOMENT_SECONDS)
    if not future.done():
        return coming_panel(GROWN), future
    try:
        grown = outcome(future)
    except FewClassesError:
        return Panel(GROWN, None, subtitle=FEW_CLASSES), None
    except LabError as error:
        failed_state(error)
        return Panel(GROWN, None, subtitle="failed"), None
    labels = map_address(grown.labels, "grown", *question)
    confidence = map_address(grown.confidence, "grown confidence", *question)
    return Panel(GROWN, labels, confidence, subtitle=f"{grown.milliseconds / 1000:.1f} s"), None


def painted_last(label_set: LabelSet, frame: str) -> tuple[Painted, ...]:
    """Return the photographs, without one, that were painted on last, up to `MAX_OTHERS`, in order of their names."""
    changed = {}
    for name in label_set.labelled:
        if name != frame:
            with suppress(FileNotFoundError):
                changed[name] = label_set.mask(name).stat().st_mtime_ns
    last = sorted(changed, key=changed.__getitem__)[-MAX_OTHERS:]
    return tuple(Painted(label_set.image(name), label_set.mask(name), changed[name]) for name in sorted(last))


class Learned(NamedTuple):
    """A run on a label set, and what had been painted when it was made."""

    run: Run
    effort: Effort


def learned_from(label_set: LabelSet, history: LabellingHistory, runs: Sequence[Run]) -> list[Learned]:
    """Return the runs that learned from a label set, the newest first, up to `MAX_LEARNED`."""
    root = str(label_set.root)
    own = [run for run in runs if run.config and run.config.dataset.root == root]
    newest = sorted(own, key=lambda run: -run.status.created)[:MAX_LEARNED]
    return [Learned(run, history.effort(run.status.created)) for run in newest]


def counted(label_set: LabelSet, order: str, runs: Sequence[Run]) -> list[Count]:
    """Return how far those runs have looked at all photographs that an order asks: the first, which is sure or not,
    and for a disagreement the next one with the same classes. None where there are too few.
    """
    needed = {"unsure": 1, "disagreement": 2}.get(order, 0)
    looking = [run for run in runs if run.config and run.class_names == runs[0].class_names][:needed]
    if len(looking) < needed:
        return []
    frames = [Frame(name, "", "", path, None) for name, path in label_set.images.items()]
    counts = []
    for run in looking:
        size = (run.config.dataset.height, run.config.dataset.width)
        space = replace(label_set.space, class_names=run.class_names, colors=run.colors)
        dataset = Dataset("folder", label_set.root, space, size, (), tuple(frames), run.pixels)
        counts.append(frame_scorer().count(run.path, dataset, frames))
    return counts


def in_order(label_set: LabelSet, order: str, counts: Sequence[Count], stays: str = "") -> list[str]:
    """Return the frames of a label set in an order: those that no run has looked at yet after those that it knows, and
    those that have labels last.

    One that `stays` is where it would be without labels: it is being painted.
    """
    names, done = list(label_set.images), {*label_set.labelled} - {stays}
    if order == "name":
        return names
    fresh = [name for name in names if name not in done]
    if counts:
        first, last = counts[0].rows, counts[-1].rows
        known = [name for name in fresh if name in first and name in last]
        if order == "unsure":
            known.sort(key=lambda name: first[name].confidence)
        else:
            known.sort(key=lambda name: -first[name].disagreement(last[name]))
        fresh = known + [name for name in fresh if name not in first or name not in last]
    return fresh + [name for name in names if name in done]


def watch(label_set: LabelSet, order: str, runs: Sequence[Run], before: int) -> None:
    """Show how far runs have looked at all photographs, drawn again while they do, and the page again once they have.

    Args:
        before: how many answers the page knew.
    """
    counts = counted(label_set, order, runs)
    for problem in {count.problem for count in counts if count.problem}:
        failed_state(problem)
    done, total = sum(len(count.rows) for count in counts), sum(count.frames for count in counts)
    if done == total and done > before:
        st.rerun()
    if done < total:
        st.progress(done / total, f"The network looks at all photographs: {done} of {total}.")

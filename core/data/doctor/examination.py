"""The whole examination: which files there are, what they hold, and a report of what is wrong.

It writes nothing into it.
"""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.config import read_config
from core.data.annotations import binary_masks
from core.data.annotations.masks import PaintedFolder
from core.data.cityscapes import LABEL_FOLDERS, Kind, has_layout, list_frames, pair_frames, splits_of
from core.data.class_table import find_class_table, is_list_of_names
from core.data.dataset import Dataset, label_space_of, spread
from core.data.doctor import causes, files
from core.data.doctor.case import Case, count
from core.data.doctor.findings import Finding, Layout, Report, about_files, plain, relative, worst_first
from core.data.doctor.survey import FrameInfo, as_colors, survey
from core.data.folder import explain_no_pairs, pair_folder
from core.data.frames import Frame, Pairing
from core.data.joint import JointDatasets
from core.data.joint_list import FILE_NAME
from core.data.sources import SOURCES
from core.data.splits import UNLISTED
from core.errors import LabError
from core.labels import LabelSpace
from core.text import join_first, join_items, plural

MAX_IDS = 300
"""Ids or colours that a report lists at most."""
NAMED_CLASSES = 8

OF_A_PART = {"no-split", "class-missing-train", "class-missing-val"}
"""Codes of what may well be so in one of several data sets that are joined."""

Progress = Callable[[int, int], None]
"""Called with (frames looked at, frames in all)."""


@dataclass
class _Survey:
    """What the names of the files say: labelled frames by part, and what had no partner."""

    parts: dict[str, list[Frame]] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)  # parts that training has no use for
    findings: list[Finding] = field(default_factory=list)
    split_source: str = ""
    is_split_stated: bool = False
    is_annotated: bool = False
    joint: JointDatasets | None = None


def examine(
    root: Path,
    class_table: str = "auto",
    val_fraction: float = 0.2,
    group_by: str = "stretch",
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
    max_frames: int = 0,
) -> Report:
    """Examine a folder: what is wrong with it is in the report, and nothing is raised or written.

    Args:
        root: the folder, checked by `core.paths.resolve_data_root`; its layout is recognised.
        class_table: as `DatasetConfig.classes`.
        val_fraction, group_by: as of `DatasetConfig`.
        progress: called in the caller's thread after each frame.
        should_stop: asked between frames; once it says so, the report is about the frames seen so far.
        max_frames: look at so many evenly spread pairs per part only; 0 looks at all.
    """
    if not os.path.isdir(root):
        sentence = f"There is no folder '{plain(root)}', or it may not be opened."
        return Report(root, "none", findings=(Finding("no-folder", "error", sentence, fix="Check the spelling."),))
    layout: Layout = "cityscapes" if has_layout(root) else "folder"
    result = (
        _find_cityscapes(root) if layout == "cityscapes" else _find_folder(root, val_fraction, group_by, class_table)
    )
    if not result.parts and any(finding.code == "empty" for finding in result.findings):
        layout = "none"
    space: LabelSpace | None = None
    if result.parts:
        try:
            space = _space_of(root, layout, class_table, result.is_annotated)
        except (LabError, OSError) as error:
            result.findings.append(Finding("class-table", "error", str(error), fix="Correct it, or take the proposal."))
        else:
            if space is None:
                sentence = f"'{plain(root)}' has no class table that says what its masks mean."
                fix = "Save the proposed table as classes.json in that folder, and name its classes."
                result.findings.append(Finding("no-class-table", "error", sentence, fix=fix))
    report = _report(root, layout, space, result, progress, should_stop, max_frames)
    if not result.joint:
        return report
    codes = {finding.code for finding in report.findings} | OF_A_PART
    inside = [
        replace(
            finding,
            sentence=f"In '{each.listed.name}': {finding.sentence}",
            files=tuple(f"{each.listed.name}/{name}" for name in finding.files),
        )
        for each in result.joint.datasets
        if each.is_rewritten  # otherwise the masks were looked at as they are
        for finding in examine(
            each.listed.root, each.listed.classes, val_fraction, group_by, progress, should_stop, max_frames
        ).findings
        if finding.severity != "note" and finding.code not in codes
    ]
    return replace(report, findings=worst_first([*report.findings, *inside]))


def examine_dataset(
    dataset: Dataset,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
    max_frames: int = 0,
) -> Report:
    """Examine the very frames that a run learns from and is scored on, in the numbering it uses.

    Arguments as of `examine`.
    """
    layout: Layout = "cityscapes" if SOURCES[dataset.name].has_coarse else "folder"
    result = _Survey({"train": list(dataset.train), "val": list(dataset.val)})
    return _report(dataset.root, layout, dataset.space, result, progress, should_stop, max_frames)


def _report(
    root: Path,
    layout: Layout,
    space: LabelSpace | None,
    listed: _Survey,
    progress: Progress | None,
    should_stop: Callable[[], bool] | None,
    max_frames: int,
) -> Report:
    chosen = [(part, frame) for part, frames in listed.parts.items() for frame in spread(frames, max_frames)]
    metadata = survey(chosen, progress, should_stop)
    case = Case(root, layout, space, tuple(metadata), is_list_of_names(root, space))
    counts = count(case)
    about_masks, proposal = causes.what_masks_hold(case)
    findings = [*listed.findings, *files.broken_files(case), *files.sizes(case), *about_masks]
    total = sum(map(len, listed.parts.values()))
    partial = len(metadata) < total
    if space and not any(finding.severity == "error" for finding in about_masks):
        findings += causes.absent_classes(case, counts, sampled=partial)
    findings += [
        *causes.mask_format(case),
        *files.duplicates(case),
        *files.neighbours(case),
        *files.unusual_images(case),
    ]
    if len(chosen) < total:
        findings.append(Finding("sampled", "note", f"{len(chosen)} of {total} pairs were looked at, evenly spread."))
    if len(metadata) < len(chosen):
        sentence = (
            f"The examination was stopped after {len(metadata)} of {len(chosen)} pairs; nothing is said about the rest."
        )
        findings.append(Finding("stopped", "note", sentence))
    return Report(
        root=root,
        layout=layout,
        pairs={part: len(frames) for part, frames in listed.parts.items()} | listed.counted,
        findings=worst_first(findings),
        classes=space.class_names if space else (),
        colors=space.colors if space else (),
        pixels=counts.pixels,
        images=counts.images,
        labels=dict(counts.read),
        sizes=dict(Counter(f"{image.size[0]} x {image.size[1]}" for image in case.images).most_common()),
        ids=_ids(metadata, bool(space and space.by_color)),
        proposal=proposal,
        looked_at=len(metadata),
        split_source=listed.split_source,
        is_split_stated=listed.is_split_stated,
    )


def _find_cityscapes(root: Path) -> _Survey:
    result = _Survey()
    for split in splits_of(root):
        kinds: list[Kind] = ["fine"] if split != "train_extra" else []
        if split in ("train", "train_extra") and os.path.isdir(root / LABEL_FOLDERS["coarse"] / split):
            kinds.append("coarse")
        for kind in kinds:
            part = split if kind == "fine" else f"{split} (coarse)"
            try:
                pairing = pair_frames(root, split, kind)
            except LabError as error:
                if split != "test":
                    result.findings.append(Finding("no-images", "error", str(error)))
                continue
            result.findings += _skipped(root, pairing) if kind == "fine" else []
            if split == "test":
                result.counted |= {"test": len(pairing.frames)} if pairing.frames else {}
                continue
            if pairing.frames:
                result.parts[part] = list(pairing.frames)
                result.findings += _alone(root, pairing.unlabelled if kind == "fine" else (), pairing.orphans)
    no_images = {finding.code for finding in result.findings}
    for split in ("train", "val"):
        if split in result.parts or "no-images" in no_images:
            continue
        try:
            list_frames(root, split)
        except LabError as error:
            only_coarse = split == "train" and "train (coarse)" in result.parts
            code = "only-coarse" if only_coarse else "no-masks" if split in splits_of(root) else "no-split"
            result.findings.append(Finding(code, "warning" if only_coarse else "error", str(error)))
    return result


def _find_folder(root: Path, val_fraction: float, group_by: str, class_table: str) -> _Survey:
    result = _Survey()
    try:
        pairing = pair_folder(root, val_fraction, group_by, class_table)
    except (LabError, OSError) as error:
        result.findings.append(Finding("unreadable-folder", "error", str(error)))
        return result
    result.findings += _skipped(root, pairing)
    if pairing.painted:
        result.is_annotated = True
        result.findings += _about_annotations(pairing.painted)
    if pairing.joint:
        result.is_annotated, result.joint = True, pairing.joint
        result.findings += _about_joint(pairing.joint)
    for frame in pairing.frames:
        if frame.split in ("train", "val"):
            result.parts.setdefault(frame.split, []).append(frame)
        else:
            result.counted[frame.split] = result.counted.get(frame.split, 0) + 1
    problems = [Finding("ambiguous", "error", problem) for problem in pairing.problems(root)]
    result.findings += problems
    if not pairing.frames and problems:
        return result
    if not pairing.frames:
        code = {
            (False, False): "empty",
            (True, False): "no-masks",
            (False, True): "no-images",
            (True, True): "no-pairs",
        }[bool(pairing.unlabelled), bool(pairing.orphans)]
        misplaced = _misplaced(root)
        result.findings.append(Finding(*(misplaced or (code, "error", explain_no_pairs(root, pairing)))))
        return result
    if len(result.parts) < 2:
        train, val = (len(result.parts.get(split, ())) for split in ("train", "val"))
        sentence = (
            f"'{plain(root)}' has {train} frames to learn from and {val} to score on, and needs at least one of each."
        )
        result.findings.append(Finding("no-split", "error", sentence, fix="Add pairs of photograph and mask."))
    result.split_source, result.is_split_stated = pairing.splits.source, pairing.splits.is_stated
    if pairing.splits.unmatched:
        count = len(pairing.splits.unmatched)
        sentence = f"{plural(count, 'line')} of the lists fit no photograph, '{pairing.splits.unmatched[0]}' for one."
        result.findings.append(
            Finding("list-unmatched", "warning", sentence, count=count, fix="Add what is missing, or correct the list.")
        )
    if result.counted.get(UNLISTED):
        sentence = (
            f"{plural(result.counted[UNLISTED], 'pair')} stand in no list, and are neither learned from nor scored on."
        )
        result.findings.append(Finding("unlisted", "note", sentence, count=result.counted[UNLISTED]))
    unlabelled = [frame for frame in pairing.unlabelled if frame.split != "test"]
    result.findings += _alone(root, unlabelled, pairing.orphans, result.is_annotated)
    return result


def _about_joint(joint: JointDatasets) -> list[Finding]:
    """Return which classes are not in all of the data sets that are joined, or in none of the joint table."""
    findings = []
    for name, class_names in joint.lacking().items():
        sentence = (
            f"The class{'es' * (len(class_names) > 1)} {join_first(class_names, NAMED_CLASSES)} of other data sets"
            f" {'are' if len(class_names) > 1 else 'is'} not in the table of '{name}': what shows"
            f" {'them' if len(class_names) > 1 else 'it'} there is labelled as something else, or ignored."
        )
        fix = (
            f"That is yours to decide: label {'them' if len(class_names) > 1 else 'it'} in '{name}', let a classes.json"
            f" beside {FILE_NAME} gather or leave out classes, ignore there what may hide them, or accept it."
        )
        findings.append(Finding("class-not-in-all", "warning", sentence, count=len(class_names), fix=fix))
    if joint.left_out:
        sentence = (
            f"The class table leaves out {join_first(list(joint.left_out), NAMED_CLASSES)}: pixels of"
            f" {'these' if len(joint.left_out) > 1 else 'it'} are ignored."
        )
        fix = "Name what is to be learned there, or remove that table to learn all."
        findings.append(Finding("class-left-out", "warning", sentence, count=len(joint.left_out), fix=fix))
    return findings


def _about_annotations(painted: PaintedFolder) -> list[Finding]:
    """Return what masks were painted from, by which rules, and what of it is left out."""
    rest = "is background" if painted.background else "is ignored, since the class table has no class called background"
    sentence = (
        f"The masks are painted from files of {join_items(painted.formats)}: {plural(painted.shapes, 'shape')} in"
        f" {plural(len(painted.masks), 'photograph')}. Where shapes overlap, the later one lies on top (in CVAT, the"
        f" one in the upper layer; of binary masks, the smaller). A pixel that nobody labelled {rest}."
    )
    if binary_masks.TITLE in painted.formats:
        sentence += " Masks that are called after a number alone are objects of one class."
    findings = [Finding("painted-from-shapes", "note", sentence, count=len(painted.masks))]
    if painted.num_hidden:
        sentence = (
            f"{plural(painted.num_hidden, 'shape')} cover no pixel, {painted.hidden[0]} for one, and are left out."
        )
        fix = "Check that its coordinates are pixels of this photograph."
        findings.append(Finding("hidden-shapes", "warning", sentence, count=painted.num_hidden, fix=fix))
    if painted.num_absent:
        sentence = (
            f"{plural(painted.num_absent, 'image')} of the annotation files aren't here, '{painted.absent[0]}' for one."
        )
        findings.append(
            Finding("listed-not-here", "warning", sentence, count=painted.num_absent, fix="Add the photographs.")
        )
    return findings


def _skipped(root: Path, pairing: Pairing) -> list[Finding]:
    names = [(relative(path, root), reason) for path, reason in pairing.skipped]
    return [
        Finding("skipped", "warning", f"'{name}' was skipped: it is {reason}.", (name,), 1) for name, reason in names
    ]


def _alone(
    root: Path, unlabelled: Sequence[Frame], orphans: Sequence[Path], is_annotated: bool = False
) -> list[Finding]:
    alone = []
    if unlabelled:
        paths = [frame.image for frame in unlabelled]
        sentence = "{} has no mask of its name, and is left out."
        fix = "Add its mask, or remove it."
        if is_annotated:
            sentence, fix = "{} is in no annotation file, and is left out.", "Label it, or remove it."
        alone.append(about_files(root, "images-without-masks", "warning", paths, sentence, fix))
    if orphans:
        sentence = "{} has no photograph of its name, and is left out."
        fix = "Add the photograph, or remove it."
        alone.append(about_files(root, "masks-without-images", "warning", orphans, sentence, fix))
    return alone


def _misplaced(root: Path) -> tuple[str, str, str] | None:
    """Return what to say of a folder beside, above or inside the Cityscapes one that was meant, or of labels without
    photographs.
    """
    try:
        near = [root.parent, *root.iterdir()]
    except OSError:
        return None
    labels_only = any(os.path.isdir(root / folder) for folder in LABEL_FOLDERS.values())
    if not labels_only and not any(has_layout(path) for path in near):
        return None
    try:
        pair_frames(root, "train")
    except LabError as error:
        return ("no-images" if labels_only else "wrong-folder"), "error", str(error)
    return None


def _space_of(root: Path, layout: Layout, class_table: str, is_annotated: bool) -> LabelSpace | None:
    """Return the class table; None where a folder has none, and no annotation files from which one follows."""
    if layout == "folder" and class_table == "auto" and find_class_table(root) is None and not is_annotated:
        return None
    return label_space_of(
        read_config({"dataset": {"name": layout, "root": str(root), "classes": class_table}}).dataset, root
    )


def _ids(infos: Sequence[FrameInfo], by_color: bool) -> dict[str, int]:
    files: Counter[str] = Counter()
    for mask in (info.mask for info in infos if not info.mask.problem):
        if mask.kind == "colors" or by_color:
            files.update(f"#{value:06x}" for value in as_colors(mask))
        else:
            files.update(str(value) for value in mask.values)
    common = files.most_common(MAX_IDS)
    return dict(sorted(common, key=lambda item: (len(item[0]), item[0])))

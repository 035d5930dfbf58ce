"""From facts about files to what they mean: findings with their likely cause, and a class table that fits the masks."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from core.data.class_table import MAX_CLASSES, SHADES, space_of, write_rows
from core.data.doctor.findings import Finding, Layout, about_files
from core.data.doctor.known_colors import CITYSCAPES_COLORS, recognise
from core.data.doctor.survey import FrameInfo, ImageInfo, MaskInfo, as_colors, classes_in
from core.labels import CITYSCAPES_19, CITYSCAPES_LABELS, IGNORED, LABEL_SPACES, Color, LabelSpace

RARE = 1e-4
"""Share of the labelled pixels below which a class is called rare: 13 pixels of a frame of 512 x 256."""
MIXED_UP = 8
"""So many thin values that a mask is suspected of having been blurred; the 515 real frames at hand have 4 at most."""
RAMPS = 0.15
"""Share of changes that are ramps in a blurred mask: 0.29 at least where real masks were resized wrongly, 0.034 at most where not."""
NAMED_VALUES = 8

_OFFICIAL = {label.id: label for label in CITYSCAPES_LABELS}
_VOID_IDS = 7  # the label ids below it stand for no thing
_LABEL_IDS = "Use the files that end in _labelIds.png."
_HOW_TO_SAVE = "Save masks as PNG, and resize them by nearest neighbour only."


@dataclass(frozen=True)
class Case:
    """What a diagnosis is made from. `space` is None for a folder without a class table that can be read."""

    root: Path
    layout: Layout
    space: LabelSpace | None
    frame_infos: tuple[FrameInfo, ...]

    @cached_property
    def masks(self) -> dict[str, list[MaskInfo]]:
        """Label files that could be read, by part."""
        result: dict[str, list[MaskInfo]] = defaultdict(list)
        for info in self.frame_infos:
            if not info.mask.problem:
                result[info.part].append(info.mask)
        return result

    @property
    def all_masks(self) -> list[MaskInfo]:
        """Label files that could be read, of all parts."""
        return [mask for masks in self.masks.values() for mask in masks]

    @property
    def images(self) -> list[ImageInfo]:
        """Photographs that could be read, each once."""
        return [info.image for info in self.frame_infos if info.image and not info.image.problem]

    @property
    def is_official(self) -> bool:
        """True where masks are to hold Cityscapes label ids."""
        return self.space is not None and self.space.name in LABEL_SPACES

    def take_the_table(self, instead_of: str = "") -> str:
        """Return what to do with a proposal in this layout, perhaps instead of something else, which is said first."""
        where = " in that folder." if self.layout == "folder" else " anywhere, and name that file as the classes."
        save = f"{instead_of} Or save" if instead_of else "Save"
        return f"{save} the proposed table as classes.json{where}"


@dataclass(frozen=True)
class Counts:
    """By part: pixels per class, frames that show each class, and the files without a pixel of any class."""

    pixels: dict[str, list[int]]
    images: dict[str, list[int]]
    blank: dict[str, list[MaskInfo]]
    read: dict[str, int]


def count(case: Case) -> Counts:
    """Count classes in all masks that the lab can read with the case's table."""
    counts = Counts({}, {}, defaultdict(list), Counter())
    if case.space is None:
        return counts
    classes = len(case.space.class_names)
    for part, masks in case.masks.items():
        pixels, images = counts.pixels.setdefault(part, [0] * classes), counts.images.setdefault(part, [0] * classes)
        for mask in masks:
            result = classes_in(mask, case.space)
            if result is None:
                continue
            counts.read[part] += 1
            for index, value in enumerate(result[0]):
                pixels[index] += value
                images[index] += value > 0
            if not any(result[0]):
                counts.blank[part].append(mask)
    return counts


def broken_files(case: Case) -> Iterator[Finding]:
    """Yield files that can't be used at all, by what is wrong with them."""
    groups: dict[tuple[str, str], list[ImageInfo | MaskInfo]] = defaultdict(list)
    for info in case.frame_infos:
        for what, file in (("image", info.image), ("mask", info.mask)):
            if file and file.problem:
                groups[file.problem, what].append(file)
    again = "Copy or download that file again, or remove it with its partner."
    for (problem, what), files in groups.items():
        detail = files[0].detail
        code, sentence, fix = {
            "vanished": (f"vanished-{what}", "{} was there a moment ago and is gone now.", "Copy it back and try again."),
            "forbidden": (f"forbidden-{what}", "{} may not be read.", "Allow reading it."),
            "empty": (f"empty-{what}", "{} is an empty file of zero bytes.", again),
            "not-a-picture": (f"unreadable-{what}", f"{{}} can't be read as {_AN[what]}: it is no picture, whatever its name says.", again),
            "unreadable": (f"unreadable-{what}", f"{{}} can't be read as {_AN[what]}{_because(detail)}.", again),
            "truncated": (f"truncated-{what}", f"{{}} can't be read as {_AN[what]} to its end: the file was cut short.", again),
            "polygons": ("unreadable-mask", f"{{}} {detail}", ""),
            "too-large": (f"too-large-{what}", f"{{}} is too large to be opened: it says it has {detail}.", "Scale it down first."),
            "odd": ("odd-numbers", f"{{}} holds numbers of the kind {detail}, but a label map holds one whole number of 0 to 255 a pixel.", "Save it again as a PNG of 8 bits."),
        }[problem]  # fmt: skip
        yield about_files(case.root, code, "error", [file.path for file in files], sentence, fix)


_AN = {"image": "an image", "mask": "a label map"}


def _because(detail: str) -> str:
    return f" ({detail.rstrip('.')})" if detail else ""


def sizes(case: Case) -> Iterator[Finding]:
    """Photograph and mask of different size or turned against each other; photographs of many sizes."""
    turned, swapped, other, scaled, same = [], [], [], [], []
    for info in case.frame_infos:
        image, mask = info.image, info.mask
        if image is None or image.problem or mask.problem:
            continue
        orientation = image.header.orientation if image.header else 1
        (width, height), (mask_width, mask_height) = image.size, mask.size
        if image.size == mask.size:
            if orientation > 1:
                same.append(image.path)
        elif abs(width * mask_height - height * mask_width) <= max(width, height, mask_width, mask_height):
            scaled.append((image, mask))
        elif (height, width) == mask.size:
            (turned if orientation >= 5 else swapped).append(image.path)
        else:
            other.append((image, mask))
    if turned:
        yield about_files(
            case.root,
            "exif-turned",
            "error",
            turned,
            "{} says by its EXIF orientation that it is to be turned by a quarter, and its mask lies as before the turn.",
            "Turn the mask as well, or save the photograph without EXIF.",
        )
    if swapped:
        yield about_files(
            case.root,
            "turned",
            "error",
            swapped,
            "{} and its mask have width and height swapped.",
            "Turn one of the two by a quarter.",
        )
    if other:
        image, mask = other[0]
        yield about_files(
            case.root,
            "size-mismatch",
            "error",
            [image.path for image, _ in other],
            f"{{}} has {_size(image.size)} pixels and its mask {_size(mask.size)}: they can't show the same picture.",
            "Crop or scale both in the same way, or pair the right ones.",
        )
    if scaled:
        image, mask = scaled[0]
        yield about_files(
            case.root,
            "size-differs",
            "note",
            [image.path for image, _ in scaled],
            f"{{}} has {_size(image.size)} pixels and its mask {_size(mask.size)}; both are scaled to the same size when they are read.",
        )
    if same:
        yield about_files(
            case.root,
            "exif-orientation",
            "note",
            same,
            "{} is turned or mirrored as its EXIF orientation says. Look whether its mask lies the same way.",
        )
    result = Counter(_size(image.size) for image in case.images)
    if len(result) > 1:
        common = ", ".join(f"{count} of {size}" for size, count in result.most_common(3))
        more = " and others" if len(result) > 3 else ""
        yield Finding(
            "mixed-sizes",
            "note",
            f"The photographs have {len(result)} different sizes: {common}{more}. All are scaled to one.",
        )


def unusual_images(case: Case) -> Iterator[Finding]:
    """Yield photographs that are no plain colours of 8 bits; and files of which only the first picture is used."""
    groups: dict[str, list[Path]] = defaultdict(list)
    for image in case.images:
        groups[_UNUSUAL.get(image.header.mode, "")].append(image.path)
    for what, paths in groups.items():
        if what:
            yield about_files(case.root, "unusual-image", "note", paths, f"{{}} {what}.")
    animated = [
        file.path
        for info in case.frame_infos
        for file in (info.image, info.mask)
        if file and not file.problem and file.header and file.header.animated
    ]
    if animated:
        yield about_files(
            case.root, "animated", "warning", animated, "{} holds several pictures, and only the first is used."
        )


_GRAY = "is gray; it is used with three equal channels"
_DEEP = "has 16 bits a channel; 8 of them are used"
_ALPHA = "has transparency, which is left out"
_UNUSUAL = {
    "1": _GRAY,
    "L": _GRAY,
    "I": _DEEP,
    "I;16": _DEEP,
    "I;16B": _DEEP,
    "F": _DEEP,
    "CMYK": "has the colours of print (CMYK), which change a little when they are converted",
    "RGBA": _ALPHA,
    "LA": _ALPHA,
    "PA": _ALPHA,
}


def duplicates(case: Case) -> Iterator[Finding]:
    """Yield the same picture, or the same name, in train and val; the same picture twice in train."""
    by_digest: dict[str, dict[bytes, Path]] = {"train": {}, "val": {}}
    by_id: dict[str, dict[str, Path]] = {"train": {}, "val": {}}
    twice: list[tuple[Path, Path]] = []
    for info in case.frame_infos:
        split = info.frame.split
        if split not in by_digest or info.image is None or info.image.problem:
            continue
        path = info.image.path
        first = by_digest[split].setdefault(info.image.digest, path)
        if split == "train" and first != path:
            twice.append((first, path))
        by_id[split].setdefault(info.frame.id, path)
    shared = [(path, by_digest["val"][key]) for key, path in by_digest["train"].items() if key in by_digest["val"]]
    same = {pair for pair in shared}
    if shared:
        yield _pairs(
            case,
            "train-val-duplicates",
            "warning",
            shared,
            "show the same picture, one in train and one in val: the score would count what was learned by heart",
            "Remove one of each pair.",
        )
    named = [(path, by_id["val"][key]) for key, path in by_id["train"].items() if key in by_id["val"]]
    named = [pair for pair in named if pair not in same]
    if named:
        yield _pairs(case, "train-val-names", "warning", named, "have the same name in train and val, and differ")
    if twice:
        yield _pairs(case, "train-duplicates", "note", twice, "show the same picture, and both are in train")


def _pairs(case: Case, code: str, severity: str, pairs: list[tuple[Path, Path]], what: str, fix: str = "") -> Finding:
    others = len(pairs) - 1
    result = about_files(case.root, code, severity, [path for pair in pairs for path in pair], "", fix)
    more = f" So do {others} other pairs." if others > 1 else " So does another pair." if others else ""
    sentence = f"'{result.files[0]}' and '{result.files[1]}' {what}.{more}"
    return Finding(code, result.severity, sentence, result.files, len(pairs), fix)


def mask_format(case: Case) -> Iterator[Finding]:
    """Yield how masks are stored, where that is worth a word but no obstacle."""
    palettes = [mask.path for mask in case.all_masks if mask.palette]
    if palettes:
        how = "its colours" if case.space is not None and case.space.by_color else "the numbers behind its colours"
        yield about_files(case.root, "palette", "note", palettes, f"{{}} is a palette picture; {how} are used.")
    deep = [mask.path for mask in case.all_masks if mask.kind == "deep" and max(mask.values) <= 255]
    if deep:
        yield about_files(
            case.root, "sixteen-bit-harmless", "note", deep, "{} is stored in 16 bits, but its numbers fit into 8."
        )
    polygons = [mask.path for mask in case.all_masks if mask.path.suffix.lower() == ".json"]
    if polygons:
        yield about_files(
            case.root,
            "polygons-only",
            "note",
            polygons,
            "{} are polygons without a label picture; they are painted when they are read.",
        )


def what_masks_hold(case: Case) -> tuple[list[Finding], str]:
    """Return values found against values allowed, with the likely cause, and the table that would mend it.

    Returns:
        Findings, the errors of which make every count of classes meaningless; and the text of a classes.json, or "".
    """
    if case.space is None:
        return list(_blurred(case)), propose(case)
    findings: list[Finding] = []
    proposal = ""
    for cause in _CAUSES:
        result = cause(case)
        if result:
            findings.append(result[0])
            proposal = proposal or result[1]
    findings += _blurred(case)
    return findings, proposal


Cause = tuple[Finding, str] | None


def _painted(case: Case) -> Cause:
    """Return colours where the table names ids."""
    if case.space.by_color:
        return None
    painted = [mask for mask in case.all_masks if mask.kind == "colors"]
    if not painted:
        return None
    known = recognise(_colors_of(painted))
    what = f"in the colours of {known.title}" if known else "in colours"
    if known is CITYSCAPES_COLORS:
        what = "in the official colours of Cityscapes"
    proposal = "" if all(_is_blurred(mask) for mask in painted) else _by_color(painted, case.space)
    instead = _LABEL_IDS if case.is_official else ""
    fix = case.take_the_table(instead) if proposal else instead or _HOW_TO_SAVE
    return (
        about_files(
            case.root,
            "painted-in-colors",
            "error",
            [mask.path for mask in painted],
            f"{{}} is painted {what}, but the class table expects a number a pixel.",
            fix,
        ),
        proposal,
    )


def _sixteen_bit(case: Case) -> Cause:
    """Return numbers above 255."""
    deep = [mask for mask in case.all_masks if mask.kind == "deep" and max(mask.values) > 255]
    if not deep:
        return None
    values = {value for mask in deep for value in mask.values}
    cause, fix = "", "Save masks with numbers of 0 to 255, in 8 bits."
    # Official ids of the classes that have instances: 24 to 33.
    if all(value in _OFFICIAL or 24_000 <= value < 34_000 for value in values):
        cause, fix = ": these are Cityscapes' instanceIds, id * 1000 + number", "Use the labelIds files."
    elif all(value % 257 == 0 for value in values):
        cause, fix = ": they are all multiples of 257, as when a tool stretches 8 bits to 16", "Divide them by 257."
    elif all(value % 256 == 0 for value in values):
        cause, fix = ": they are all multiples of 256, as when a tool shifts 8 bits to 16", "Divide them by 256."
    return (
        about_files(
            case.root,
            "sixteen-bit",
            "error",
            [mask.path for mask in deep],
            f"{{}} holds 16-bit numbers above 255{cause}.",
            fix,
        ),
        "",
    )


def _train_ids(case: Case) -> Cause:
    """Cityscapes train ids where label ids are to be; judged by part, since a few masks may hold low ids by chance."""
    if not case.is_official:
        return None
    guilty: list[MaskInfo] = []
    for masks in case.masks.values():
        pixels = _pixels_by_id(masks)
        if not pixels or set(pixels) - set(range(19)) - {IGNORED} or len(pixels) < 3:
            continue
        # Road, sidewalk and building are 0, 1, 2 as train ids, 7, 8, 11 as label ids, and most of any street.
        # 0 is also "unlabeled", but not in a mask that has 255 for that.
        low = pixels[1] + pixels[2] + pixels[0] * (IGNORED in pixels)
        if low > pixels[7] + pixels[8] + pixels[11]:
            guilty += masks
    if not guilty:
        return None
    return (
        about_files(
            case.root,
            "train-ids",
            "error",
            [mask.path for mask in guilty],
            "{} holds only numbers of 0 to 18 and 255: these look like Cityscapes train ids, but label ids (road is 7) are expected.",
            case.take_the_table(_LABEL_IDS),
        ),
        _table(
            {"name": name, "color": list(color), "ids": [index]}
            for index, (name, color) in enumerate(zip(CITYSCAPES_19.class_names, CITYSCAPES_19.colors, strict=True))
        ),
    )


def _palette_indices(case: Case) -> Cause:
    """Official colours in a palette whose places are not the official ids: a picture of colours that was saved with a palette."""
    if not case.is_official or _train_ids(case):
        return None
    guilty = [mask for mask in case.all_masks if mask.palette and _is_misplaced(mask)]
    if not guilty:
        return None
    return (
        about_files(
            case.root,
            "palette-places",
            "error",
            [mask.path for mask in guilty],
            "{} has the official colours in its palette, but at other places than the official label ids.",
            case.take_the_table(_LABEL_IDS),
        ),
        _by_color(guilty, None),
    )


def _is_misplaced(mask: MaskInfo) -> bool:
    colors = [_unpack(color) for color in mask.palette]
    if len(colors) < 2 or not set(colors) <= CITYSCAPES_COLORS.colors:
        return False
    placed = sum(
        count
        for value, color, count in zip(mask.values, colors, mask.counts, strict=True)
        if value in _OFFICIAL and _OFFICIAL[value].color == color
    )
    return placed * 2 < sum(mask.counts)


def _binary(case: Case) -> Cause:
    """Return masks that are black and white only, where the table doesn't name 255."""
    if case.space.by_color or case.space.from_ids[IGNORED] != IGNORED:
        return None
    result = _pixels_by_id(case.all_masks)
    if set(result) != {0, 255}:
        return None
    names = case.space.class_names if len(case.space.class_names) == 2 else ("background", "foreground")
    return (
        about_files(
            case.root,
            "binary",
            "error",
            [mask.path for mask in case.all_masks],
            "{} is black and white: its numbers are 0 and 255, and the class table doesn't name 255.",
            case.take_the_table(),
        ),
        _table({"name": name, "ids": [class_id]} for name, class_id in zip(names, (0, 255), strict=True)),
    )


def _one_based(case: Case) -> Cause:
    """Return masks that count from 1 where the table counts from 0."""
    space = case.space
    num_classes = len(space.class_names)
    if space.by_color or case.is_official or space.from_ids[:num_classes] != tuple(range(num_classes)):
        return None
    result = set(_pixels_by_id(case.all_masks)) - {IGNORED}
    if not result or min(result) != 1 or max(result) != num_classes:
        return None
    return (
        about_files(
            case.root,
            "one-based",
            "error",
            [mask.path for mask in case.all_masks],
            f"{{}} counts its classes from 1 to {num_classes}, but the class table counts from 0 to {num_classes - 1}.",
            case.take_the_table(),
        ),
        _table(
            {"name": name, "color": list(color), "ids": [index + 1]}
            for index, (name, color) in enumerate(zip(space.class_names, space.colors, strict=True))
        ),
    )


def _beyond_the_table(case: Case) -> Cause:
    """Return ids that the table doesn't know: impossible in Cityscapes, ignored elsewhere."""
    space = case.space
    if space.by_color or any(cause(case) for cause in (_train_ids, _binary, _one_based, _palette_indices)):
        return None
    allowed = set(_OFFICIAL) if case.is_official else {n for n, owner in enumerate(space.from_ids) if owner != IGNORED}
    sound = [
        mask for mask in case.all_masks if mask.kind != "colors" and max(mask.values) <= 255 and not _is_blurred(mask)
    ]
    files = [mask for mask in sound if set(mask.values) - allowed - {IGNORED}]
    if not files:
        return None
    pixels = _pixels_by_id(sound)
    unknown = {value: count for value, count in pixels.items() if value not in allowed and value != IGNORED}
    share = sum(unknown.values()) / sum(pixels.values())
    listed = _listing(sorted(unknown))
    if case.is_official:
        return (
            about_files(
                case.root,
                "ids-above-table",
                "error",
                [mask.path for mask in files],
                f"{{}} holds the ids {listed}, but label ids of Cityscapes end at 33.",
                "Use the files that end in _labelIds.png, or name the class table that these masks were made with.",
            ),
            "",
        )
    above = min(unknown) > max(allowed, default=0)
    return (
        about_files(
            case.root,
            "ids-above-table" if above else "unknown-ids",
            "warning",
            [mask.path for mask in files],
            f"{{}} holds the ids {listed}, which the class table doesn't name: {share:.1%} of all pixels are ignored.",
            "Add them to the class table if they are classes.",
        ),
        "",
    )


def _ids_not_colors(case: Case) -> Cause:
    """Return numbers where the table names colours."""
    space = case.space
    if not space.by_color:
        return None
    gray = [mask for mask in case.all_masks if mask.kind != "colors" and not _explained(mask, space)]
    if not gray:
        return None
    results = sorted(set(_pixels_by_id(gray)) - {IGNORED})
    proposal = ""
    if results and results[-1] < len(space.class_names):
        proposal = _table(
            {"name": name, "color": list(color), "ids": [index]}
            for index, (name, color) in enumerate(zip(space.class_names, space.colors, strict=True))
        )
    return (
        about_files(
            case.root,
            "ids-not-colors",
            "error",
            [mask.path for mask in gray],
            f"{{}} holds the numbers {_listing(results)}, but the class table names colours.",
            case.take_the_table() if proposal else "Name ids in the class table instead of colours.",
        ),
        proposal,
    )


def _other_colors(case: Case) -> Cause:
    """Return colours that the table doesn't know; red and blue swapped is a mistake of its own."""
    space = case.space
    if not space.by_color:
        return None
    painted = [mask for mask in case.all_masks if mask.kind == "colors" and not _is_blurred(mask)]
    known = {color for color, _ in space.from_colors}
    pixels = _colors_of(painted)
    total = sum(pixels.values())
    unknown = {color: count for color, count in pixels.items() if color not in known}
    if not unknown:
        return None
    files = [mask.path for mask in painted if {_unpack(value) for value in mask.values} - known]
    swapped = sum(count for color, count in pixels.items() if color[::-1] in known)
    straight = total - sum(unknown.values())
    if swapped > 0.9 * total and straight < 0.5 * total:
        rows = json.loads(write_rows(space))
        for row in rows:
            row["color"] = row["color"][::-1]
            if "colors" in row:
                row["colors"] = [color[::-1] for color in row["colors"]]
        return (
            about_files(
                case.root,
                "swapped-colors",
                "error",
                files,
                "{} has the colours of the class table with red and blue swapped, as OpenCV writes them.",
                case.take_the_table("Save masks as red, green, blue."),
            ),
            _table(rows),
        )
    share = sum(unknown.values()) / total
    listed = _listing([_hex(color) for color in sorted(unknown, key=unknown.get, reverse=True)])
    if straight == 0:
        recognised = recognise(pixels)
        of = f"; they are those of {recognised.title}" if recognised else ""
        return (
            about_files(
                case.root,
                "unknown-colors",
                "error",
                files,
                f"{{}} holds the colours {listed}, and none of the masks has a colour of the class table{of}.",
                case.take_the_table(),
            ),
            _by_color(painted, None),
        )
    return (
        about_files(
            case.root,
            "unknown-colors",
            "warning",
            files,
            f"{{}} holds the colours {listed}, which the class table doesn't name: {share:.1%} of all pixels are ignored.",
            "Add them to the class table if they are classes.",
        ),
        "",
    )


_CAUSES: tuple[Callable[[Case], Cause], ...] = (
    _painted, _sixteen_bit, _train_ids, _palette_indices, _binary, _one_based, _ids_not_colors, _other_colors, _beyond_the_table,
)  # fmt: skip


def _blurred(case: Case) -> Iterator[Finding]:
    """Yield masks that were saved lossily or resized by interpolation: they hold values that were never drawn."""
    lossy = [mask for mask in case.all_masks if mask.header and mask.header.format == "JPEG"]
    spoiled = [mask for mask in case.all_masks if _is_blurred(mask)]
    jpegs = [mask for mask in spoiled if mask in lossy]
    others = [mask for mask in spoiled if mask not in lossy]
    space = case.space
    if jpegs:
        yield about_files(
            case.root,
            "lossy-masks",
            "error",
            [mask.path for mask in jpegs],
            f"{{}} was saved as JPEG, which changes a mask's numbers: it holds {jpegs[0].different} different values, most of which "
            "nobody drew.",
            f"Export the masks again. {_HOW_TO_SAVE}",
        )
    elif lossy:
        yield about_files(
            case.root,
            "lossy-masks",
            "warning",
            [mask.path for mask in lossy],
            "{} is a mask saved as JPEG, which may change its numbers.",
            _HOW_TO_SAVE,
        )
    if others:
        # By colour, what nobody drew matches no class and is ignored; by number, it is taken for another class.
        harmless = space is not None and space.by_color and all(_explained(mask, space) for mask in others)
        yield about_files(
            case.root,
            "blurred-masks",
            "warning" if harmless else "error",
            [mask.path for mask in others],
            f"{{}} was blurred, probably by resizing: along its outlines are values that nobody drew, {others[0].different} different "
            "ones in all.",
            f"Export the masks again. {_HOW_TO_SAVE}",
        )


def _is_blurred(mask: MaskInfo) -> bool:
    return mask.thin >= MIXED_UP and (mask.ramps > RAMPS or 2 * mask.thin > mask.different)


def absent_classes(case: Case, counts: Counts, sampled: bool) -> Iterator[Finding]:
    """Return labels without a class, and classes that are missing or rare, once masks are known to be read rightly."""
    space = case.space
    what = {"train": "training", "val": "validation"}
    dead = []
    for part in counts.pixels:
        if counts.read[part] and not any(counts.pixels[part]):
            dead.append(part)
            result = _listing(_ids_or_colors(case.masks[part], space))
            fix = "Use the labelIds files." if case.is_official else "Name what they hold in the class table."
            yield about_files(
                case.root,
                "no-class-pixels",
                "error",
                [mask.path for mask in case.masks[part]],
                f"No pixel of the {what.get(part, part)} labels in '{case.root}' belongs to a class: they hold {result}.",
                fix,
            )
    blank = [mask.path for part, masks in counts.blank.items() if part not in dead for mask in masks]
    if blank:
        yield about_files(
            case.root,
            "blank-masks",
            "warning",
            blank,
            "{} has no pixel of any class; all of it is ignored.",
            "Label it, or remove it with its photograph.",
        )
    if dead:
        return
    among = " among the frames looked at" if sampled else ""
    learned = [part for part in counts.pixels if part.startswith("train")]
    for name, parts in (("train", learned), ("val", [part for part in counts.pixels if part == "val"])):
        if not any(counts.read[part] for part in parts):
            continue
        pixels = [sum(column) for column in zip(*(counts.pixels[part] for part in parts), strict=True)]
        missing = [space.class_names[index] for index, value in enumerate(pixels) if not value]
        if missing:
            effect = "no network can learn it" if name == "train" else "it can't be scored"
            yield Finding(
                f"class-missing-{name}",
                "warning",
                f"{_names(missing)} never occur{'s' * (len(missing) == 1)} in {name}{among}: "
                f"{effect if len(missing) == 1 else effect.replace('it', 'they', 1) if name == 'val' else 'no network can learn them'}.",
                count=len(missing),
            )
        total = sum(pixels)
        rare = [space.class_names[index] for index, value in enumerate(pixels) if 0 < value < RARE * total]
        if rare and name == "train":
            yield Finding(
                "rare-class",
                "note",
                f"{_names(rare)} make{'s' * (len(rare) == 1)} less than {RARE:.2%} of the labelled pixels of train{among}; expect a low score.",
                count=len(rare),
            )


def propose(case: Case) -> str:
    """Return the text of a classes.json for masks without a table, or "" where none can be given."""
    masks = [mask for mask in case.all_masks if not _is_blurred(mask)]
    painted = [mask for mask in masks if mask.kind == "colors"]
    if painted:
        return _by_color(painted, None)
    pixels = _pixels_by_id(masks)
    results = sorted(set(pixels) - {IGNORED})
    if set(pixels) in ({0, 255}, {0, 1}):
        return _table(
            {"name": name, "ids": [class_id]}
            for name, class_id in zip(("background", "foreground"), sorted(pixels), strict=True)
        )
    if not results or results[-1] > 255:
        return ""
    shown = {value: _unpack(color) for mask in masks for value, color in zip(mask.values, mask.palette)}  # noqa: B905
    known = recognise({shown[value]: count for value, count in pixels.items() if value in shown}) if shown else None
    names = {color: name for name, color in known.classes} if known else {}
    rows = []
    for index, value in enumerate(results):
        color = shown.get(value)
        if known and color in known.ignored:
            continue
        title = names.get(color, f"class {value}")
        if any(row["name"] == title for row in rows):
            title = f"{title} {value}"
        rows.append({"name": title, "color": list(color or SHADES[index % len(SHADES)]), "ids": [value]})
    return _table(rows)


def _by_color(masks: list[MaskInfo], space: LabelSpace | None) -> str:
    """Return a table of the colours of masks: named by a table whose colours they are, else numbered by how much they cover."""
    pixels = _colors_of(masks)
    named = {color: name for name, color in zip(space.class_names, space.colors, strict=True)} if space else {}
    if sum(color in named for color in pixels) >= 2 and set(pixels) <= set(named) | {(0, 0, 0)}:
        return _table({"name": name, "color": list(color)} for color, name in named.items())
    known = recognise(pixels)
    rows = [{"name": name, "color": list(color)} for name, color in known.classes] if known else []
    others = [color for color in sorted(pixels, key=pixels.get, reverse=True) if not known or color not in known.colors]
    if len(rows) + len(others) > MAX_CLASSES:
        return ""
    rows += [{"name": f"class {index}", "color": list(color)} for index, color in enumerate(others, start=1)]
    return _table(rows)


def _table(rows: Iterator[dict] | list[dict]) -> str:
    listed = list(rows)
    return write_rows(space_of(listed)) if listed else ""


def _pixels_by_id(masks: Sequence[MaskInfo]) -> Counter[int]:
    pixels: Counter[int] = Counter()
    for mask in masks:
        if mask.kind != "colors":
            for value, count in zip(mask.values, mask.counts, strict=True):
                pixels[value] += count
    return pixels


def _colors_of(masks: Sequence[MaskInfo]) -> dict[Color, int]:
    pixels: Counter[int] = Counter()
    for mask in masks:
        for value, count in zip(as_colors(mask), mask.counts, strict=True):
            pixels[value] += count
    return {_unpack(value): count for value, count in pixels.items()}


def _explained(mask: MaskInfo, space: LabelSpace) -> bool:
    """Return True where a table of colours names nearly all that a mask shows; outlines may be what nobody drew."""
    result = classes_in(mask, space)
    return result is not None and result[1] <= 0.1 * sum(mask.counts)


def _ids_or_colors(masks: list[MaskInfo], space: LabelSpace) -> list[int | str]:
    if space.by_color:
        return [_hex(color) for color in _colors_of(masks)]
    return sorted(_pixels_by_id(masks))


def _unpack(value: int) -> Color:
    return value >> 16, value >> 8 & 255, value & 255


def _hex(color: Color) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def _listing(values: Sequence[int | str]) -> str:
    more = len(values) - NAMED_VALUES
    return ", ".join(str(value) for value in values[:NAMED_VALUES]) + (f" and {more} more" if more > 0 else "")


def _names(names: list[str]) -> str:
    return f"The class{'es' * (len(names) > 1)} {_listing(names)}"


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"

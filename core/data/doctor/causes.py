"""From what masks hold to why it isn't what their class table names: an ordered list of causes, each with its finding.

To add a cause, write its diagnosis and a line of `CAUSES`.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from core.data.class_table import write_rows
from core.data.doctor.case import (
    Case,
    Counts,
    is_blurred,
    is_explained,
    palettes_differ,
    pixels_by_color,
    pixels_by_id,
    unpack,
)
from core.data.doctor.findings import Finding
from core.data.doctor.known_data_sets import CITYSCAPES_COLORS, recognise
from core.data.doctor.proposals import (
    known_ids,
    listed_classes,
    propose,
    renumbered,
    table_of,
    table_of_colors,
    two_classes,
)
from core.data.doctor.survey import MaskInfo
from core.files import parse_json
from core.labels import CITYSCAPES_19, CITYSCAPES_LABELS, IGNORED, Color, LabelSpace

RARE = 1e-4
"""Share of the labelled pixels below which a class is called rare: 13 pixels of a frame of 512 x 256."""
NAMED_VALUES = 8
LOSS = 16
"""Numbers that are closer than this are mixed up by a lossy format, whatever its quality."""

_OFFICIAL = {label.id: label for label in CITYSCAPES_LABELS}
_LABEL_IDS = "Use the files that end in _labelIds.png."
_HOW_TO_SAVE = "Save masks as PNG, and resize them by nearest neighbour only."
_ADD_THEM = (
    "Add them to the class table if they are classes. If they stand for none, as void does, all is well: nothing is"
    " learned from them, and nothing scored."
)

Diagnosis = tuple[Finding, str] | None
"""What was found, and the text of the class table that would mend it, or ""."""


@dataclass(frozen=True)
class Cause:
    """One reason why masks don't fit their class table.

    Attributes:
        diagnose: returns the finding where a case has this cause.
        table: the kind of class table that it can happen with; `official` is that of Cityscapes' label ids.
        unless: codes of findings which explain the same masks better.
    """

    diagnose: Callable[[Case], Diagnosis]
    table: Literal["any", "ids", "official", "own ids", "colors"] = "any"
    unless: tuple[str, ...] = ()

    def can_be(self, case: Case, findings: Sequence[Finding]) -> bool:
        """Return True where the case's class table is of the cause's kind and nothing explains its masks better."""
        kinds = ("colors",) if case.space.by_color else ("ids", "official" if case.is_official else "own ids")
        return self.table in ("any", *kinds) and not any(finding.code in self.unless for finding in findings)


def what_masks_hold(case: Case) -> tuple[list[Finding], str]:
    """Return values found against values allowed, with the likely cause, and the table that would mend it.

    Returns:
        Findings, the errors of which make every count of classes meaningless; and the text of a classes.json, or "".
    """
    if case.space is None:
        known = known_ids(case)
        if listed_classes(case):
            note = "The proposed table has the names that the Parquet files list, in their order: check that they fit."
            return [*_blurred(case), Finding("listed-classes", "note", note)], propose(case)
        note = f"The numbers and folders are those of {known.title}: the proposed table has its names." if known else ""
        return [*_blurred(case), *([Finding("known-data-set", "note", note)] if known else [])], propose(case)
    findings: list[Finding] = []
    proposal = ""
    for cause in CAUSES:
        diagnosis = cause.diagnose(case) if cause.can_be(case, findings) else None
        if diagnosis:
            findings.append(diagnosis[0])
            proposal = proposal or diagnosis[1]
    return findings + list(_blurred(case)), proposal


def _painted(case: Case) -> Diagnosis:
    """Colours where the table names ids."""
    painted = [mask for mask in case.all_masks if mask.kind == "colors"]
    if not painted:
        return None
    known = recognise(pixels_by_color(painted))
    what = f"in the colours of {known.title}" if known else "in colours"
    if known is CITYSCAPES_COLORS:
        what = "in the official colours of Cityscapes"
    proposal = "" if all(is_blurred(mask) for mask in painted) else table_of_colors(painted, case.space)
    instead = _LABEL_IDS if case.is_official else ""
    fix = case.take_the_table(instead) if proposal else instead or _HOW_TO_SAVE
    sentence = f"{{}} is painted {what}, but the class table expects a number a pixel."
    return case.finding("error", "painted-in-colors", painted, sentence, fix), proposal


def _sixteen_bit(case: Case) -> Diagnosis:
    """Numbers above 255."""
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
    return case.finding("error", "sixteen-bit", deep, f"{{}} holds 16-bit numbers above 255{cause}.", fix), ""


def _train_ids(case: Case) -> Diagnosis:
    """Cityscapes train ids where label ids are to be; judged by part, since a few masks may hold low ids by chance."""
    guilty: list[MaskInfo] = []
    for masks in case.masks.values():
        pixels = pixels_by_id(masks)
        if not pixels or set(pixels) - set(range(19)) - {IGNORED} or len(pixels) < 3:
            continue
        # Road, sidewalk and building are 0, 1, 2 as train ids, 7, 8, 11 as label ids, and most of any street.
        # 0 is also "unlabeled", but not in a mask that has 255 for that.
        low = pixels[1] + pixels[2] + pixels[0] * (IGNORED in pixels)
        if low > pixels[7] + pixels[8] + pixels[11]:
            guilty += masks
    if not guilty:
        return None
    sentence = (
        "{} holds only numbers of 0 to 18 and 255: these look like Cityscapes train ids, but label ids (road is 7) are"
        " expected."
    )
    return case.finding("error", "train-ids", guilty, sentence, case.take_the_table(_LABEL_IDS)), renumbered(
        CITYSCAPES_19
    )


def _palette_indices(case: Case) -> Diagnosis:
    """Official colours in a palette whose places are not the official ids: a picture of colours that was saved with a
    palette.
    """
    guilty = [mask for mask in case.all_masks if mask.palette and _is_misplaced(mask)]
    if not guilty:
        return None
    sentence = "{} has the official colours in its palette, but at other places than the official label ids."
    finding = case.finding("error", "palette-places", guilty, sentence, case.take_the_table(_LABEL_IDS))
    return finding, table_of_colors(guilty)


def _is_misplaced(mask: MaskInfo) -> bool:
    colors = [unpack(color) for color in mask.palette]
    if len(colors) < 2 or not set(colors) <= CITYSCAPES_COLORS.colors:
        return False
    placed = sum(
        count
        for value, color, count in zip(mask.values, colors, mask.counts, strict=True)
        if value in _OFFICIAL and _OFFICIAL[value].color == color
    )
    return placed * 2 < sum(mask.counts)


def _binary(case: Case) -> Diagnosis:
    """Masks that are black and white only, where the table doesn't name 255."""
    if case.space.from_ids[IGNORED] != IGNORED or set(pixels_by_id(case.all_masks)) != {0, 255}:
        return None
    names = case.space.class_names if len(case.space.class_names) == 2 else ("background", "foreground")
    sentence = "{} is black and white: its numbers are 0 and 255, and the class table doesn't name 255."
    return case.finding("error", "binary", case.all_masks, sentence, case.take_the_table()), two_classes(
        (0, 255), names
    )


def _one_based(case: Case) -> Diagnosis:
    """Masks that count from 1 where the table counts from 0."""
    num_classes = len(case.space.class_names)
    ids = set(pixels_by_id(case.all_masks)) - {IGNORED}
    counts_from_0 = case.space.from_ids[:num_classes] == tuple(range(num_classes))
    if not counts_from_0 or not ids or min(ids) != 1 or max(ids) != num_classes:
        return None
    sentence = (
        f"{{}} counts its classes from 1 to {num_classes}, but the class table counts from 0 to {num_classes - 1}."
    )
    finding = case.finding("error", "one-based", case.all_masks, sentence, case.take_the_table())
    return finding, renumbered(case.space, first=1)


def _names_shifted(case: Case) -> Diagnosis:
    """A list of K names for masks that count from 0 to K: nobody can tell whether the first name is of 0 or of 1."""
    names = case.space.class_names
    ids = set(pixels_by_id(case.all_masks)) - {IGNORED}
    if not case.is_list_of_names or 0 not in ids or max(ids, default=0) != len(names):
        return None
    sentence = (
        f"{{}} counts its classes from 0 to {len(names)}, one more than the list names: whether 0 is a background that"
        f" it leaves out, or '{names[0]}', can't be told from here."
    )
    fix = (
        f"{case.take_the_table('If 0 is the background:').replace('Or save', 'save')} If the last id has no name yet,"
        " add it to the list."
    )
    rows = [{"name": "background", "ids": [0]}] + [
        {"name": name, "ids": [index]} for index, name in enumerate(names, start=1)
    ]
    return case.finding("error", "names-shifted", case.all_masks, sentence, fix), table_of(rows)


def _palettes_differ(case: Case) -> Diagnosis:
    """Palettes that give one number several colours: every file has its own numbers, and the colours alone mean the
    same.
    """
    if not palettes_differ(case.all_masks):
        return None
    files = [mask for mask in case.all_masks if mask.palette]
    sentence = (
        "{} has another palette than others: the same number is another colour there, so that numbers mean nothing"
        " across files."
    )
    return case.finding("error", "palettes-differ", files, sentence, case.take_the_table()), table_of_colors(files)


def _ids_not_colors(case: Case) -> Diagnosis:
    """Numbers where the table names colours."""
    gray = [mask for mask in case.all_masks if mask.kind != "colors" and not is_explained(mask, case.space)]
    if not gray:
        return None
    ids = sorted(set(pixels_by_id(gray)) - {IGNORED})
    proposal = renumbered(case.space) if ids and ids[-1] < len(case.space.class_names) else ""
    fix = case.take_the_table() if proposal else "Name ids in the class table instead of colours."
    sentence = f"{{}} holds the numbers {_listing(ids)}, but the class table names colours."
    return case.finding("error", "ids-not-colors", gray, sentence, fix), proposal


def _other_colors(case: Case) -> Diagnosis:
    """Colours that the table doesn't know; red and blue swapped is a mistake of its own."""
    painted = [mask for mask in case.all_masks if mask.kind == "colors" and not is_blurred(mask)]
    allowed = {color for color, _ in case.space.from_colors}
    pixels = pixels_by_color(painted)
    total = sum(pixels.values())
    unknown = {color: count for color, count in pixels.items() if color not in allowed}
    if not unknown:
        return None
    files = [mask for mask in painted if {unpack(value) for value in mask.values} - allowed]
    swapped = sum(count for color, count in pixels.items() if color[::-1] in allowed)
    straight = total - sum(unknown.values())
    if swapped > 0.9 * total and straight < 0.5 * total:
        rows = parse_json(write_rows(case.space))
        for row in rows:
            row["color"] = row["color"][::-1]
            if "colors" in row:
                row["colors"] = [color[::-1] for color in row["colors"]]
        sentence = "{} has the colours of the class table with red and blue swapped, as OpenCV writes them."
        fix = case.take_the_table("Save masks as red, green, blue.")
        return case.finding("error", "swapped-colors", files, sentence, fix), table_of(rows)
    holds = (
        f"{{}} holds the colours {_listing([_hex(color) for color in sorted(unknown, key=unknown.get, reverse=True)])}"
    )
    if straight == 0:
        known = recognise(pixels)
        of = f"; they are those of {known.title}" if known else ""
        sentence = f"{holds}, and none of the masks has a colour of the class table{of}."
        return case.finding("error", "unknown-colors", files, sentence, case.take_the_table()), table_of_colors(painted)
    sentence = (
        f"{holds}, which the class table doesn't name: {sum(unknown.values()) / total:.1%} of all pixels are ignored."
    )
    return case.finding("warning", "unknown-colors", files, sentence, _ADD_THEM), ""


def _beyond_the_table(case: Case) -> Diagnosis:
    """Ids that the table doesn't know: impossible in Cityscapes, ignored elsewhere."""
    of_table = {class_id for class_id, owner in enumerate(case.space.from_ids) if owner != IGNORED}
    allowed = set(_OFFICIAL) if case.is_official else of_table
    sound = [
        mask
        for mask in case.all_masks
        if mask.kind != "colors" and max(mask.values) <= 255 and not _is_spoiled(mask, case.space)
    ]
    files = [mask for mask in sound if set(mask.values) - allowed - {IGNORED}]
    if not files:
        return None
    pixels = pixels_by_id(sound)
    unknown = {value: count for value, count in pixels.items() if value not in allowed and value != IGNORED}
    holds = f"{{}} holds the {'id' if len(unknown) == 1 else 'ids'} {_listing(sorted(unknown))}"
    if case.is_official:
        fix = "Use the files that end in _labelIds.png, or name the class table that these masks were made with."
        sentence = f"{holds}, but label ids of Cityscapes end at 33."
        return case.finding("error", "ids-above-table", files, sentence, fix), ""
    code = "ids-above-table" if min(unknown) > max(allowed, default=0) else "unknown-ids"
    share = sum(unknown.values()) / sum(pixels.values())
    sentence = f"{holds}, which the class table doesn't name: {share:.1%} of all pixels are ignored."
    return case.finding("warning", code, files, sentence, _ADD_THEM), ""


CAUSES = (
    Cause(_painted, "ids"),
    Cause(_sixteen_bit),
    Cause(_train_ids, "official"),
    Cause(_palette_indices, "official", unless=("train-ids",)),
    Cause(_palettes_differ, "ids", unless=("palette-places",)),
    Cause(_binary, "ids", unless=("palettes-differ",)),
    Cause(_one_based, "own ids", unless=("palettes-differ",)),
    Cause(_names_shifted, "own ids", unless=("palettes-differ",)),
    Cause(_ids_not_colors, "colors"),
    Cause(_other_colors, "colors"),
    Cause(
        _beyond_the_table,
        "ids",
        unless=("train-ids", "palette-places", "palettes-differ", "binary", "one-based", "names-shifted"),
    ),
)
"""In the order in which they are asked; the first one's proposal is taken."""


def _blurred(case: Case) -> Iterator[Finding]:
    """Yield masks that were saved lossily or resized by interpolation: they hold values that were never drawn."""
    lossy = [mask for mask in case.all_masks if mask.header and mask.header.lossy]
    others = [mask for mask in case.all_masks if mask not in lossy and is_blurred(mask)]
    spoiled = [mask for mask in lossy if _is_spoiled(mask, case.space)]
    again = f"Export the masks again. {_HOW_TO_SAVE}"
    if spoiled:
        sentence = (
            f"{{}} was saved as {spoiled[0].header.format}, which changes a mask's numbers: it holds"
            f" {spoiled[0].different} different values, and which of them were drawn can't be told."
        )
        yield case.finding("error", "lossy-masks", spoiled, sentence, again)
    elif lossy:
        sentence = f"{{}} is a mask saved as {lossy[0].header.format}, which may change its numbers."
        yield case.finding("warning", "lossy-masks", lossy, sentence, _HOW_TO_SAVE)
    if others:
        # By colour, what nobody drew matches no class and is ignored; by number, it is taken for another class.
        space = case.space
        harmless = space is not None and space.by_color and all(is_explained(mask, space) for mask in others)
        sentence = (
            "{} was blurred, probably by resizing: along its outlines are values that nobody drew,"
            f" {others[0].different} different ones in all."
        )
        yield case.finding("warning" if harmless else "error", "blurred-masks", others, sentence, again)


def _is_spoiled(mask: MaskInfo, space: LabelSpace | None) -> bool:
    """Return True for a blurred mask, and for one of a lossy format unless its values are the table's, make areas and
    lie far apart.
    """
    if is_blurred(mask) or not mask.header or not mask.header.lossy or mask.kind == "colors":
        return is_blurred(mask)
    ids = sorted(mask.values)
    gaps = [high - low for low, high in zip(ids, ids[1:], strict=False)]
    table = None if space is None or space.by_color else space.from_ids
    is_known = table is None or all(value < 256 and (table[value] != IGNORED or value == IGNORED) for value in ids)
    return bool(mask.thin) or not is_known or min(gaps, default=LOSS) < LOSS


def mask_format(case: Case) -> Iterator[Finding]:
    """Yield how masks are stored, where that is worth a word but no obstacle."""
    palettes = [mask for mask in case.all_masks if mask.palette]
    if palettes:
        how = "its colours" if case.space is not None and case.space.by_color else "the numbers behind its colours"
        yield case.finding("note", "palette", palettes, f"{{}} is a palette picture; {how} are used.")
    colors = Counter(case.space.colors) if case.space else Counter()
    alike = (
        [name for name, color in zip(case.space.class_names, case.space.colors, strict=True) if colors[color] > 1]
        if colors
        else []
    )
    if alike:
        sentence = f"{_names(alike)} are shown in the same colour, and can't be told apart on the page."
        yield Finding("same-color", "note", sentence, count=len(alike), fix="Give each a colour of its own.")
    deep = [mask for mask in case.all_masks if mask.kind == "deep" and max(mask.values) <= 255]
    if deep:
        sentence = "{} is stored in 16 bits, but its numbers fit into 8."
        yield case.finding("note", "sixteen-bit-harmless", deep, sentence)
    polygons = [mask for mask in case.all_masks if mask.path.suffix.lower() == ".json"]
    if polygons:
        sentence = "{} are polygons without a label picture; they are painted when they are read."
        yield case.finding("note", "polygons-only", polygons, sentence)


def absent_classes(case: Case, counts: Counts, sampled: bool) -> Iterator[Finding]:
    """Yield labels without a class, and classes that are missing or rare, once masks are known to be read rightly."""
    space = case.space
    what = {"train": "training", "val": "validation"}
    dead = [part for part in counts.pixels if counts.read[part] and not any(counts.pixels[part])]
    for part in dead:
        held = _listing(_ids_or_colors(case.masks[part], space))
        fix = "Use the labelIds files." if case.is_official else "Name what they hold in the class table."
        sentence = (
            f"No pixel of the {what.get(part, part)} labels in '{case.root}' belongs to a class: they hold {held}."
        )
        yield case.finding("error", "no-class-pixels", case.masks[part], sentence, fix)
    blank = [mask for part, masks in counts.blank.items() if part not in dead for mask in masks]
    if blank:
        sentence = "{} has no pixel of any class; all of it is ignored."
        yield case.finding("warning", "blank-masks", blank, sentence, "Label it, or remove it with its photograph.")
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
            it = "it" if len(missing) == 1 else "they" if name == "val" else "them"
            effect = f"no network can learn {it}" if name == "train" else f"{it} can't be scored"
            sentence = f"{_names(missing)} never occur{'s' * (len(missing) == 1)} in {name}{among}: {effect}."
            yield Finding(f"class-missing-{name}", "warning", sentence, count=len(missing))
        rare = [space.class_names[index] for index, value in enumerate(pixels) if 0 < value < RARE * sum(pixels)]
        if rare and name == "train":
            sentence = (
                f"{_names(rare)} make{'s' * (len(rare) == 1)} less than {RARE:.2%} of the labelled pixels of"
                f" train{among}; expect a low score."
            )
            yield Finding("rare-class", "note", sentence, count=len(rare))


def _ids_or_colors(masks: list[MaskInfo], space: LabelSpace) -> list[int | str]:
    if space.by_color:
        return [_hex(color) for color in pixels_by_color(masks)]
    return sorted(pixels_by_id(masks))


def _hex(color: Color) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def _listing(values: Sequence[int | str]) -> str:
    more = len(values) - NAMED_VALUES
    return ", ".join(str(value) for value in values[:NAMED_VALUES]) + (f" and {more} more" if more > 0 else "")


def _names(names: list[str]) -> str:
    return f"The class{'es' * (len(names) > 1)} {_listing(names)}"

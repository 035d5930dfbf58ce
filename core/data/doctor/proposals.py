"""Class tables that fit masks: of their colours or numbers, with the names of a known data set where they are its
own.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from core.data.class_table import MAX_CLASSES, SHADES, space_of, write_rows
from core.data.doctor.case import Case, is_blurred, palettes_differ, pixels_by_color, pixels_by_id, unpack
from core.data.doctor.findings import relative
from core.data.doctor.known_data_sets import KnownIds, recognise, recognise_ids
from core.data.doctor.survey import MaskInfo
from core.labels import IGNORED, LabelSpace


def propose(case: Case) -> str:
    """Return the text of a classes.json for masks without a table, or "" where none can be given."""
    masks = [mask for mask in case.all_masks if not is_blurred(mask)]
    painted = [mask for mask in masks if mask.kind == "colors"]
    if painted or palettes_differ(masks):
        return table_of_colors(painted or [mask for mask in masks if mask.palette])
    pixels = pixels_by_id(masks)
    ids = sorted(set(pixels) - {IGNORED})
    if set(pixels) in ({0, 255}, {0, 1}):
        return two_classes(sorted(pixels))
    if not ids or ids[-1] > 255:
        return ""
    listed = listed_classes(case)
    if ids[-1] < len(listed):
        return table_of({"name": name, "ids": [class_id]} for class_id, name in enumerate(listed))
    data_set = known_ids(case)
    if data_set:
        return table_of(data_set.rows)
    shown = {value: unpack(color) for mask in masks for value, color in zip(mask.values, mask.palette)}  # noqa: B905
    known = recognise({shown[value]: count for value, count in pixels.items() if value in shown}) if shown else None
    names = {color: name for name, color in known.classes} if known else {}
    rows = []
    for index, value in enumerate(ids):
        color = shown.get(value)
        if known and color in known.ignored:
            continue
        title = names.get(color, f"class {value}")
        if any(row["name"] == title for row in rows):
            title = f"{title} {value}"
        rows.append({"name": title, "color": list(color or SHADES[index]), "ids": [value]})
    return table_of(rows)


def listed_classes(case: Case) -> tuple[str, ...]:
    """Return the class names that Parquet files list, where the masks were unpacked from such; else ()."""
    if all(mask.path.is_relative_to(case.root) for mask in case.all_masks):
        return ()
    from core.data.parquet_files import listed_classes as names_in  # pyarrow, loaded for those alone

    return names_in(case.root)


def known_ids(case: Case) -> KnownIds | None:
    """Return the well-known data set whose numbers and folders masks of numbers have, else None."""
    masks = [mask for mask in case.all_masks if mask.kind != "colors"]
    paths = [Path(relative(mask.path, case.root)) for mask in masks]
    return recognise_ids(pixels_by_id(masks), paths) if masks else None


def table_of_colors(masks: list[MaskInfo], space: LabelSpace | None = None) -> str:
    """Return a table of the colours of masks: named by a table whose colours they are, else numbered by how much they
    cover.
    """
    pixels = pixels_by_color(masks)
    named = {color: name for name, color in zip(space.class_names, space.colors, strict=True)} if space else {}
    if sum(color in named for color in pixels) >= 2 and set(pixels) <= set(named) | {(0, 0, 0)}:
        return table_of({"name": name, "color": list(color)} for color, name in named.items())
    known = recognise(pixels)
    rows = [{"name": name, "color": list(color)} for name, color in known.classes] if known else []
    others = [color for color in sorted(pixels, key=pixels.get, reverse=True) if not known or color not in known.colors]
    if len(rows) + len(others) > MAX_CLASSES:
        return ""
    return table_of(
        rows + [{"name": f"class {index}", "color": list(color)} for index, color in enumerate(others, start=1)]
    )


def renumbered(space: LabelSpace, first: int = 0) -> str:
    """Return the table of the same classes with ids that count up from `first`."""
    return table_of(
        {"name": name, "color": list(color), "ids": [index]}
        for index, (name, color) in enumerate(zip(space.class_names, space.colors, strict=True), start=first)
    )


def two_classes(ids: Iterable[int], names: Iterable[str] = ("background", "foreground")) -> str:
    """Return the table of two ids."""
    return table_of({"name": name, "ids": [class_id]} for name, class_id in zip(names, ids, strict=True))


def table_of(rows: Iterator[Mapping[str, Any]] | list[Mapping[str, Any]]) -> str:
    """Return the text of a classes.json, or "" where there are no rows."""
    listed = list(rows)
    return write_rows(space_of(listed)) if listed else ""

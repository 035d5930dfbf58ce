"""Class tables of other data sets: which ids or colours of a mask make which class.

The lab's own form is `classes.json` beside the images:

    [{"name": "road", "color": [128, 64, 128], "ids": [7]}, {"name": "sky", "color": "#4682b4", "ids": [23]}]

A class with `ids` is found by number in the masks; without, by its colour, or by several: `"colors": [[0, 0, 0], [9, 9,
9]]`. What no class names is ignored. Tables that other tools write are read as they are: CamVid's label_colors.txt and
class_dict.csv, CVAT's labelmap.txt, and a plain list of names (classes.txt, labels.txt, codes.txt), one a line, in the
order of the ids; Roboflow's _classes.csv, which lies in the folder of each split, and id2label.json of the Hugging Face
Hub. Beside a list of data sets (`core.data.joint`) a row gathers their classes by name: `"names": ["car", "bus"]`.
Supervisely's {"classes": [{"title": "road", "color": "#804080"}]} is read as well.
"""

import csv
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from core.auth import read_owner, require_owner, require_write
from core.data.joint_list import is_joint
from core.data.splits import SPLITS
from core.errors import LabError
from core.files import parse_json, write_atomically
from core.labels import IGNORED, LABEL_BY_NAME, Color, LabelSpace
from core.text import format_bytes, join_first, one_line

FILE_NAME = "classes.json"
ROBOFLOW = "_classes.csv"
_KEYS = {"name", "ids", "color", "colors"}
MAX_CLASSES = 255
BACKGROUND = ("background", "_background_")
"""What the class of all that nobody labelled is called."""
MAX_BYTES = 1_000_000


def voc_color(index: int) -> Color:
    """Return the colour of a number 0..255 as VOClabelcolormap.m of Pascal VOC deals its bits, the highest first.

    No two numbers have the same.
    """
    parts = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            parts[channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
    return parts[0], parts[1], parts[2]


_FIRST_SHADES: tuple[Color, ...] = (
    (128, 64, 128),
    (244, 163, 64),
    (70, 130, 180),
    (107, 142, 35),
    (220, 20, 60),
    (0, 0, 142),
    (250, 210, 60),
    (152, 118, 84),
    (46, 170, 160),
    (190, 120, 190),
    (90, 90, 90),
    (152, 221, 152),
    (160, 60, 30),
    (120, 160, 230),
    (220, 150, 160),
    (60, 90, 50),
)
SHADES = (*_FIRST_SHADES, *(color for color in map(voc_color, range(1, 256)) if color not in _FIRST_SHADES))
"""Colours for classes that come without any, more than a table has classes."""

_OTHER_NAMES = {
    "pedestrian": "person", "human": "person", "bicyclist": "rider", "cyclist": "rider", "bike": "bicycle",
    "motorbike": "motorcycle", "pavement": "sidewalk", "footpath": "sidewalk", "tree": "vegetation",
    "trees": "vegetation", "plant": "vegetation", "grass": "terrain", "sign": "traffic sign", "signsymbol":
    "traffic sign", "sign symbol": "traffic sign", "column pole": "pole", "columnpole": "pole", "buildings": "building",
}  # fmt: skip
"""What other data sets call the classes of Cityscapes."""


def color_of(name: str) -> Color | None:
    """Return the colour that a class of this name has in Cityscapes, by whose colours the field knows it; else None."""
    plain = " ".join(re.split(r"[\s_-]+", name.strip().lower()))
    label = LABEL_BY_NAME.get(_OTHER_NAMES.get(plain, plain))
    return label.color if label and label.category != "void" else None


def find_class_table(root: Path) -> Path | None:
    """Return the class table that lies in a data set's folder, the lab's own first; an empty file is none.

    Raises:
        LabError: its splits have tables of their own, which differ.
    """
    paths = (root / name for name in (FILE_NAME, *READERS))
    own = next((path for path in paths if path.is_file() and path.stat().st_size), None)
    return own or _table_of_splits(root)


def _table_of_splits(root: Path) -> Path | None:
    """Return the table that Roboflow puts into the folder of each split, the same into all."""
    paths = [path for split in SPLITS if (path := root / split / ROBOFLOW).is_file()]
    for path in paths[1:]:
        if path.read_bytes() != paths[0].read_bytes():
            raise LabError(
                f"'{paths[0]}' and '{path}' differ, so that a number of a mask may mean two classes. Export the data"
                f" set again, or write one {FILE_NAME} in '{root}'."
            )
    return paths[0] if paths else None


def is_list_of_names(root: Path, space: LabelSpace | None) -> bool:
    """Return True where a folder's class table is a plain list, in which nobody wrote down the ids, and is the one in
    use.
    """
    try:
        path = find_class_table(root)
        if path is None or space is None or READERS.get(path.name.lower()) is not _from_names:
            return False
        return read_class_table(path) == space
    except LabError:
        return False


def read_class_table(path: Path, numbering: LabelSpace | None = None) -> LabelSpace:
    """Read a class table.

    Args:
        path: the file.
        numbering: of data sets that are joined: rows then gather its classes, by `names` or else by their own name, in
            place of ids.

    Raises:
        LabError: the file can't be read, or what it says doesn't make sense; the sentence says where.
    """
    try:
        text = _read_text(path)
        rows = READERS.get(path.name.lower(), _from_json)(text)
        space = space_of(_gathered(rows, numbering) if numbering else rows)
        if len(space.class_names) == 1:
            raise ValueError(
                f"'{space.class_names[0]}' is its only class, and a single class can't be told from anything. Add"
                " another for all the rest, such as background."
            )
        return space
    except (OSError, UnicodeError, csv.Error, RecursionError) as error:
        raise LabError(f"The class table '{path}' can't be read: {str(error)[:100]}.") from None
    except ValueError as error:
        raise LabError(f"The class table '{path}' has a mistake: {error}") from None


def _gathered(rows: Any, numbering: LabelSpace) -> Any:
    """Return rows with the ids of the classes that they name. Raises ValueError where there is no such class."""
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and isinstance(row.get("name"), str) for row in rows
    ):
        return rows  # which is said as of any table
    result = []
    for row in rows:
        ids: list[int] = []
        names = _list(row.get("names", [row["name"]]), f"Class '{row['name'][:80]}'")
        for name in names:
            if name not in numbering.class_names:
                raise ValueError(
                    f"'{str(name)[:80]}' is in none of the joined data sets, whose classes are"
                    f" {join_first(list(numbering.class_names), 20)}. Write those that a class gathers as its names:"
                    f' {{"name": "vehicle", "names": ["car", "bus"]}}.'
                )
            index = numbering.class_names.index(name)
            ids += [class_id for class_id, owner in enumerate(numbering.from_ids) if owner == index]
        color = {"color": numbering.colors[numbering.class_names.index(names[0])]} if names else {}
        fields = {key: value for key, value in row.items() if key != "names"}
        result.append(color | fields | {"ids": ids})
    return result


def listed_names(path: Path) -> tuple[str, ...] | None:
    """Return the names of a plain list that has no background: the order of classes, but not what they are in a mask.

    None for another table.

    Raises:
        LabError: the file can't be read.
    """
    if READERS.get(path.name.lower()) is not _from_names:
        return None
    try:
        names = tuple(row["name"] for row in _from_names(_read_text(path)))
    except (OSError, UnicodeError) as error:
        raise LabError(f"The class table '{path}' can't be read: {str(error)[:100]}.") from None
    return None if any(name.casefold() in BACKGROUND for name in names) else names


def _read_text(path: Path) -> str:
    if path.stat().st_size > MAX_BYTES:
        raise LabError(f"'{path}' has over {format_bytes(MAX_BYTES)}: that is no class table.")
    data = path.read_bytes()
    # PowerShell writes UTF-16.
    return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")


def space_of(rows: list[dict[str, Any]]) -> LabelSpace:
    """Check the rows of a class table and make a label space of them.

    Args:
        rows: dicts with `name`, and `ids`, `color` or `colors`.

    Raises:
        ValueError: a row doesn't make sense; its text is a sentence.
    """
    if not isinstance(rows, list) or not rows:
        raise ValueError('It must be a list of classes, like [{"name": "road", "color": [128, 64, 128], "ids": [7]}].')
    if len(rows) > MAX_CLASSES:
        raise ValueError(
            f"It has {len(rows)} classes, and {MAX_CLASSES} is the most that a label map of 8 bits can hold."
        )
    by_id = any(isinstance(row, dict) and "ids" in row for row in rows)
    names: list[str] = []
    shown: list[Color | None] = []
    from_ids = [IGNORED] * 256
    from_colors: dict[Color, int] = {}
    for index, row in enumerate(rows):
        where = f"Class {index + 1}"
        name = one_line(row["name"])[:80] if isinstance(row, dict) and isinstance(row.get("name"), str) else ""
        if not name:
            raise ValueError(f"{where} has no name.")
        where = f"Class '{name}'"
        if name in names:
            raise ValueError(f"{where} stands there twice.")
        unknown = set(row) - _KEYS
        if unknown:
            raise ValueError(
                f"{where} has '{sorted(unknown)[0]}', but name, color, colors and ids are what a class can have."
            )
        colors = [row["color"]] if "color" in row else []
        painted = [_color(value, where) for value in [*colors, *_list(row.get("colors", []), where)]]
        names.append(name)
        shown.append(painted[0] if painted else None)
        if not by_id:
            if not painted:
                raise ValueError(f"{where} has neither ids nor a colour: nothing in a mask could be it.")
            for color in painted:
                if from_colors.setdefault(color, index) != index:
                    raise ValueError(
                        f"The colour {list(color)} belongs to both '{names[from_colors[color]]}' and '{name}'."
                    )
            continue
        for value in _list(row.get("ids", []), where):
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 255:
                raise ValueError(f"{where} has the id {value!r}, but ids are whole numbers from 0 to 255.")
            if from_ids[value] != IGNORED:
                raise ValueError(f"The id {value} belongs to both '{names[from_ids[value]]}' and '{name}'.")
            from_ids[value] = index
        if not row.get("ids"):
            raise ValueError(f"{where} has no ids, but other classes of the table have.")
    return LabelSpace("own", tuple(names), _shown(names, shown), tuple(from_ids), tuple(from_colors.items()))


def _shown(names: list[str], colors: list[Color | None]) -> tuple[Color, ...]:
    """Return colours for all classes, no two alike among those that had none: by their names, else by their numbers."""
    result = list(colors)
    for choose in (lambda index: (color_of(names[index]),), lambda index: (SHADES[index], *SHADES)):
        for index, color in enumerate(result):
            if color is None:
                result[index] = next((each for each in choose(index) if each not in result), None)
    return tuple(color or SHADES[index] for index, color in enumerate(result))


def save_class_table(root: Path, text: str) -> Path:
    """Write the text of a class table as a folder's classes.json.

    One of the lab's own that was there is kept as classes.json.old. Beside a list of data sets it names their classes
    in place of ids. Others' runs may rest on a table that is there: only the folder's owner or an admin replaces it.

    Raises:
        LabError: another tool's file is there, the folder can't be written to, it or its table is another's, or the
            current user may only look.
    """
    path = root / FILE_NAME
    owner = next(filter(None, (read_owner(folder, of_data=True) for folder in (root, *root.parents))), "")
    if owner or path.is_file():
        require_owner(owner, f"The class table of '{root.name}'")
    require_write()
    try:
        if is_joint(root):
            from core.data.joint import name_rows  # which reads class tables by this module

            text = name_rows(root, text)
        if path.is_file() and path.stat().st_size:
            rows = parse_json(path.read_bytes())
            if not isinstance(rows, list) or not all(
                isinstance(row, dict) and "name" in row and set(row) <= {*_KEYS, "names"} for row in rows
            ):
                raise ValueError
            path.replace(path.with_name(f"{FILE_NAME}.old"))
        write_atomically(path, text)
    except ValueError:
        raise LabError(
            f"'{path}' isn't one of this lab's class tables, and may be the only copy of its names. Rename it first."
        ) from None
    except OSError as error:
        raise LabError(f"'{path}' can't be written: {error.strerror}. Allow writing to that folder.") from None
    return path


def write_rows(space: LabelSpace) -> str:
    """Return a label space as the text of a classes.json, one class a line."""
    rows = []
    for index, (name, color) in enumerate(zip(space.class_names, space.colors, strict=True)):
        row: dict[str, Any] = {"name": name, "color": list(color)}
        if space.by_color:
            others = [list(painted) for painted, owner in space.from_colors if owner == index and painted != color]
            row |= {"colors": others} if others else {}
        else:
            row["ids"] = [label_id for label_id, owner in enumerate(space.from_ids) if owner == index]
        rows.append(row)
    return format_rows(rows)


def format_rows(rows: Sequence[dict[str, Any]]) -> str:
    """Return rows of a class table as the text of a classes.json, one class a line."""
    return "[\n  " + ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n"


def _from_json(text: str) -> list[dict[str, Any]]:
    try:
        content = parse_json(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"line {error.lineno}, column {error.colno}: {error.msg}.") from None
    rows = content.get("classes") if isinstance(content, dict) else content
    return [_todays(row) for row in rows] if isinstance(rows, list) else rows


def _todays(row: Any) -> Any:
    """Return a row with `id` as `ids`, and one of Supervisely's (title, shape, color, ...) as one of ours."""
    if not isinstance(row, dict):
        return row
    if "title" in row and "name" not in row:
        return {"name": row["title"]} | {key: row[key] for key in ("color", "ids") if key in row}
    if "id" in row and "ids" not in row:
        return {key: value for key, value in row.items() if key != "id"} | {"ids": [row["id"]]}
    return row


def _from_csv(text: str) -> list[dict[str, Any]]:
    """Read `name,r,g,b` with a first line that says so, as class_dict.csv of CamVid."""
    result = csv.DictReader(text.splitlines(), skipinitialspace=True)
    if not {"name", "r", "g", "b"} <= set(result.fieldnames or ()):
        raise ValueError("its first line must say name,r,g,b.")
    return [{"name": row["name"], "color": [row["r"], row["g"], row["b"]]} for row in result]


def _from_pixel_values(text: str) -> list[dict[str, Any]]:
    """Read `Pixel Value, Class` and lines of both, as Roboflow's _classes.csv."""
    first, *rows = [[part.strip() for part in line.partition(",")[::2]] for line in _lines(text)] or [[]]
    if [part.lower() for part in first] != ["pixel value", "class"]:
        raise ValueError("its first line must say Pixel Value, Class.")
    return [{"name": name, "ids": [_id(value)]} for value, name in rows]


def _from_labels(text: str) -> list[dict[str, Any]]:
    """Read `{"0": "road"}`, as id2label.json of data sets and models on the Hugging Face Hub."""
    content = parse_json(text)
    if not isinstance(content, dict):
        raise ValueError('it must be like {"0": "road", "1": "sky"}.')
    return [{"name": name, "ids": [_id(value)]} for value, name in content.items()]


def _id(text: str) -> int:
    if not text.strip().isdecimal():
        raise ValueError(f"'{text[:40]}' stands where the number of a class is needed.")
    return int(text)


def _from_colored_names(text: str) -> list[dict[str, Any]]:
    """Read `64 128 64<tab>Animal`, as label_colors.txt of CamVid."""
    rows = []
    for line in _lines(text):
        match = re.fullmatch(r"(\d+)[\s,]+(\d+)[\s,]+(\d+)\s+(.+)", line)
        if not match:
            raise ValueError(f"the line '{line[:60]}' is not like '64 128 64 Animal'.")
        rows.append({"name": match[4], "color": [match[1], match[2], match[3]]})
    return rows


def _from_labelmap(text: str) -> list[dict[str, Any]]:
    """Read `name:r,g,b:parts:actions`, as labelmap.txt of CVAT and Datumaro."""
    rows = []
    for line in _lines(text):
        name, _, rest = line.partition(":")
        rows.append({"name": name, "color": rest.partition(":")[0].split(",")})
    return rows


def _from_names(text: str) -> list[dict[str, Any]]:
    """Read a name a line; labelme's lists begin with `__ignore__`, which is no class, so that `_background_` is 0."""
    names = _lines(text)
    return [{"name": name, "ids": [index]} for index, name in enumerate(names[names[:1] == ["__ignore__"] :])]


READERS: dict[str, Callable[[str], list[dict[str, Any]]]] = {
    "class_dict.csv": _from_csv,
    "label_colors.txt": _from_colored_names,
    "labelmap.txt": _from_labelmap,
    "classes.txt": _from_names,
    "labels.txt": _from_names,
    "codes.txt": _from_names,
    ROBOFLOW: _from_pixel_values,
    "id2label.json": _from_labels,
}


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{where} has {str(value)[:40]!r} where a list is needed.")
    return value


def _color(value: Any, where: str) -> Color:
    if isinstance(value, str) and re.fullmatch(r"#[0-9a-fA-F]{6}", value):
        return int(value[1:3], 16), int(value[3:5], 16), int(value[5:7], 16)
    try:
        red, green, blue = (int(part) for part in value)
    except (TypeError, ValueError):
        raise ValueError(f'{where} has the colour {str(value)[:40]!r}; write [128, 64, 128] or "#804080".') from None
    if not all(0 <= part <= 255 for part in (red, green, blue)):
        raise ValueError(f"{where} has the colour {[red, green, blue]}, but its parts go from 0 to 255.")
    return red, green, blue

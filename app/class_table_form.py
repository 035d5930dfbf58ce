"""A form for the class table of a folder: rename, recolour, reorder, ignore, and merge classes by one name."""

from collections.abc import Iterable, Mapping
from typing import Any

import streamlit as st

from app.datasets import save_classes
from app.widgets import failed_state
from core.data.class_table import space_of, write_rows
from core.data.dataset import Dataset, read_target
from core.data.decoding import read_image
from core.errors import LabError
from core.escaping import escape_markdown
from core.files import parse_json
from core.inference.exports import overlay_of
from core.labels import LabelSpace

PREVIEWED = 3
PREVIEW_SIZE = (180, 320)


def class_table_form(dataset: Dataset) -> None:
    """Draw the class table of a data set as a form with three frames below it, as the edited table paints them."""
    with st.expander("Class table"):
        st.caption(
            "Two rows of one name become one class. A row whose tick is taken away is ignored: its pixels are neither"
            " learned nor scored. Classes stand in the order of their numbers; a colour is written like #804080."
        )
        edited = st.data_editor(
            rows_of(dataset.space),
            column_config={
                "use": st.column_config.CheckboxColumn("Use", width="small"),
                "order": st.column_config.NumberColumn("Order", width="small", step=1),
                "name": st.column_config.TextColumn("Name", required=True, max_chars=80),
                "color": st.column_config.TextColumn(
                    "Colour", required=True, validate=r"^#[0-9a-fA-F]{6}$", disabled=dataset.space.by_color
                ),
                "holds": st.column_config.TextColumn("Found by", disabled=True),
            },
            hide_index=True,
            width="stretch",
            key=f"class-table-{dataset.root}-{dataset.space.digest}",
        )
        try:
            space = edited_space(edited)
            _preview(dataset, space)
        except (LabError, ValueError) as error:
            failed_state(str(error))
            return
        if st.button("Save this table", icon=":material/save:", key="save-class-table"):
            try:
                save_classes(dataset.root, write_rows(space))
            except LabError as error:
                failed_state(error)
            else:
                st.rerun()


def rows_of(space: LabelSpace) -> list[dict[str, Any]]:
    """Return a class table as rows of the form; what finds a class, ids or colours, is text that isn't edited."""
    rows = []
    for index, row in enumerate(parse_json(write_rows(space))):
        painted = [row["color"], *row.get("colors", [])]
        holds = ", ".join(map(str, row["ids"]) if "ids" in row else map(_hex, painted))
        rows.append({"use": True, "order": index, "name": row["name"], "color": _hex(row["color"]), "holds": holds})
    return rows


def edited_space(rows: Iterable[Mapping[str, Any]]) -> LabelSpace:
    """Return the label space of edited rows: those in use, by their order, those of one name as one class.

    Raises:
        ValueError: fewer than two classes are left, or a row makes no sense.
    """
    merged: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: row["order"]):
        if not row["use"]:
            continue
        by_color = row["holds"].startswith("#")
        held = row["holds"].split(", ")
        known = merged.setdefault(str(row["name"]).strip(), {"name": row["name"], "color": row["color"]})
        if by_color:
            known.setdefault("colors", []).extend(_parts(color) for color in held)
        else:
            known.setdefault("ids", []).extend(map(int, held))
    for row in merged.values():
        if "colors" in row:  # the first one is shown, and finds the class as well
            row["color"] = row["colors"].pop(0)
    if len(merged) < 2:
        raise ValueError("Fewer than two classes are left, and a single class can't be told from anything.")
    return space_of(list(merged.values()))


def _preview(dataset: Dataset, space: LabelSpace) -> None:
    frames = [frame for frame in (*dataset.train, *dataset.val) if frame.labels][:PREVIEWED]
    for column, frame in zip(st.columns(PREVIEWED), frames, strict=False):
        target = read_target(frame.labels, space, PREVIEW_SIZE)
        column.image(
            overlay_of(read_image(frame.image, PREVIEW_SIZE, dataset.pixels), space.palette[target]),
            escape_markdown(frame.id),
        )


def _hex(color: Iterable[int]) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def _parts(color: str) -> list[int]:
    return [int(color[start : start + 2], 16) for start in (1, 3, 5)]

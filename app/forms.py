"""Config fields as widgets: label, unit and help are the config's own, and so are the bounds, which a run is checked
against.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import streamlit as st
from pydantic.fields import FieldInfo

from app.widgets import run_label
from core.config import ITSELF, bounds_of, choices_of, fields_of, has_a_say, setting_of
from core.models.encoder_table import encoder_title, encoders_of
from core.paths import runs_folder
from core.runs.store import list_runs

Values = Mapping[str, Mapping[str, Any]]
"""Plain values of a config, part by part."""
PENDING = "pending-values"
"""Where values wait for the next run of a page, which puts them into their widgets before these are made."""


def set_later(part: str, name: str, value: Any, family: str = "") -> None:
    """Have a field's widget show a value when the page is drawn next; only that of one family where it is named."""
    st.session_state.setdefault(PENDING, []).append((part, name, value, family))


def apply_pending() -> None:
    """Put the values that were asked for into the widgets."""
    for part, name, value, family in st.session_state.pop(PENDING, []):
        for key in map(str, st.session_state):
            # A widget's key holds the field's name, the family on whose card it stands, and what it begins with.
            # One without a prefix is another page's.
            prefix, *parts = key.split("-")
            if name in parts and (not family or family in parts) and (prefix == "tracking") == (part == "tracking"):
                st.session_state[key] = value


def recall_form(name: str) -> None:
    """Give widgets that were typed into before another page was looked at their values back, before they are made."""
    for key, value in st.session_state.get(f"typed-{name}", {}).items():
        st.session_state.setdefault(key, value)


def remember_form(name: str, prefixes: Sequence[str]) -> None:
    """Keep what stands in a page's widgets, whose keys begin with one of some words: Streamlit forgets widgets that
    another page doesn't show.
    """
    st.session_state[f"typed-{name}"] = {
        key: st.session_state[key] for key in map(str, st.session_state) if key.split("-")[0] in prefixes
    }


def fields_form(
    part: str,
    names: Iterable[str],
    values: Mapping[str, Any],
    key: str,
    chosen_before: Values | None = None,
    fresh: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Show widgets for fields of a config part that have a say, in a grid, and return their values.

    Args:
        part: of the config, "training".
        names: of its fields, in this order.
        values: what the widgets begin with, where it isn't the field's default.
        key: prefix of the widgets' keys; another prefix makes fresh widgets.
        chosen_before: what was chosen elsewhere on the form; a field that has no say beside it isn't shown.
        fresh: of fields that begin otherwise after another choice, that choice: each has a widget of its own.
    """
    chosen: dict[str, Any] = {}
    before = dict(chosen_before or {})
    fields = fields_of(part)
    with st.grid(3, min_column_width=160):
        for name in names:
            if has_a_say(before | {part: {**before.get(part, {}), **chosen}}, part, name):
                label = setting_of(part, name).label
                own_key = "-".join([key, name, *([fresh[name]] if fresh and name in fresh else [])])
                value = values.get(name, fields[name].default)
                if setting_of(part, name).is_run:
                    chosen[name] = _run_box(label, value, fields[name].description, own_key)
                else:
                    chosen[name] = _widget(label, fields[name], value, own_key)
    return chosen


def names_in(part: str, group: str) -> list[str]:
    """Return the fields of a part that stand under a heading, in the config's order."""
    return [name for name in fields_of(part) if setting_of(part, name).group == group]


def groups_of(part: str) -> list[str]:
    """Return the headings of a part's fields, in the config's order."""
    return list(dict.fromkeys(group for name in fields_of(part) if (group := setting_of(part, name).group)))


def augmentation_form(key: str) -> dict[str, Any]:
    """Show widgets for the augmentation; what is set here is where the next page's begin."""
    known = st.session_state.get("augmentation", {})
    values = fields_form("training", names_in("training", "Augmentation"), known, key=key)
    st.session_state["augmentation"] = values
    return values


def encoder_box(family: str, key: str) -> str:
    """Show a widget for a family's encoder: one of those on offer, or any other name that is typed."""
    return st.selectbox(
        "Encoder",
        [offered.name for offered in encoders_of(family)],
        format_func=encoder_title,
        accept_new_options=True,
        help="One of these, or type the name of any other that timm has.",
        key=key,
    )


def _widget(label: str, field: FieldInfo, value: Any, key: str) -> Any:
    choices, help_text = choices_of(field), field.description
    if choices:
        return st.selectbox(label, choices, index=choices.index(value), help=help_text, key=key)
    if field.annotation is bool:
        return st.toggle(label, value=value, help=help_text, key=key)
    if field.annotation is str:
        return st.text_input(label, value=value, help=help_text, key=key)
    # Without bounds: Streamlit would show what is out of them, and go on with what was there before. The config
    # refuses it, and says so.
    if field.annotation is int:
        return st.number_input(label, value=value, step=1, help=help_text, key=key)
    bounds = bounds_of(field)
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le")
    # At least eight steps from end to end, or the buttons of a share would be dead.
    step = 10.0 ** min(_magnitude(float(value)), _magnitude((high - low) / 8))
    decimals = "%g" if float(value) < 0.01 else None
    return st.number_input(label, value=float(value), step=step, format=decimals, help=help_text, key=key)


def _run_box(label: str, value: str, help_text: str | None, key: str) -> str:
    """Show a widget for one of the runs that have a network, and return its id.

    Empty for none, `ITSELF` for the network that learns.
    """
    runs = {run.id: run for run in list_runs(runs_folder()) if run.has_checkpoint("best")}
    texts = {"": "None", ITSELF: "Itself, by its moving mean"}
    ids = [*texts, *runs]
    if st.session_state.get(key, "") not in ids:
        st.session_state.pop(key)  # it was deleted
    return st.selectbox(
        label,
        ids,
        index=ids.index(value) if value in ids else 0,
        format_func=lambda run_id: texts.get(run_id) or run_label(runs[run_id]),
        help=help_text,
        key=key,
    )


def _magnitude(value: float) -> int:
    """Return the power of ten of a sensible step for a number: 0.002 is changed by 0.001, 5 by 1."""
    exponent = 0
    while value and abs(value) < 10.0**exponent and exponent > -8:
        exponent -= 1
    return exponent

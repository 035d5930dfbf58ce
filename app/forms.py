"""Config fields as widgets: bounds, unit and help come from the config itself, so the form can't offer what a run refuses."""

from typing import Any, get_args

import annotated_types
import streamlit as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from core.config import TrainingConfig
from core.encoders import encoder_title, encoders_of

AUGMENTATION = (
    "crop_height",
    "crop_width",
    "zoom_min",
    "zoom_max",
    "flip",
    "color_jitter",
    "rotation",
    "blur",
    "rare_crops",
)
"""The training fields that say what is done to a frame before the network sees it."""


def fields_form(part: type[BaseModel], names: list[str], values: dict[str, Any], key: str) -> dict[str, Any]:
    """Widgets for some fields of a config part, in a grid; returns their values.

    Args:
        part: the part's model class.
        names: which fields, in this order.
        values: what the widgets begin with, where it isn't the field's default.
        key: prefix of the widgets' keys; another prefix makes fresh widgets.
    """
    chosen = {}
    with st.grid(3, min_column_width=220):
        for name in names:
            field = part.model_fields[name]
            chosen[name] = _widget(name, field, values.get(name, field.default), f"{key}-{name}")
    return chosen


def augmentation_form(key: str) -> dict[str, Any]:
    """Widgets for the augmentation; what is set here is where the next page's begin."""
    values = fields_form(TrainingConfig, list(AUGMENTATION), st.session_state.get("augmentation", {}), key=key)
    st.session_state["augmentation"] = values
    return values


def encoder_box(family: str, key: str) -> str:
    """A widget for a family's encoder: one of those on offer, or any other name that is typed."""
    return st.selectbox(
        "Encoder",
        [offered.name for offered in encoders_of(family)],
        format_func=encoder_title,
        accept_new_options=True,
        help="One of these, or type the name of any other that timm has.",
        key=key,
    )


SPELLED = {
    "gpus": "GPUs",
    "cpus": "CPUs",
    "ema": "EMA",
    "mlflow": "MLflow",
    "wandb": "Weights & Biases",
    "tensorboard": "TensorBoard",
    "fc_width": "FC width",
}
"""Fields whose names aren't words with a capital."""


def field_label(name: str, field: FieldInfo) -> str:
    """A field's name as a person would write it, with its unit."""
    unit = (field.json_schema_extra or {}).get("unit")  # type: ignore[union-attr]
    words = SPELLED.get(name, name.replace("_", " ").capitalize())
    return f"{words} ({unit})" if unit else words


def _widget(name: str, field: FieldInfo, value: Any, key: str) -> Any:
    label, help_text = field_label(name, field), field.description
    choices = get_args(field.annotation)
    if choices:
        return st.selectbox(label, choices, index=choices.index(value), help=help_text, key=key)
    if field.annotation is bool:
        return st.toggle(label, value=value, help=help_text, key=key)
    if field.annotation is str:
        return st.text_input(label, value=value, help=help_text, key=key)
    low, high = _bounds(field)
    if field.annotation is int:
        return st.number_input(label, low, high, value, step=1, help=help_text, key=key)
    # At least eight steps from end to end, or the buttons of a share would be dead.
    step = 10.0 ** min(_magnitude(float(value)), _magnitude((high - low) / 8))
    decimals = "%g" if float(value) < 0.01 else None
    return st.number_input(
        label, float(low), float(high), float(value), step=step, format=decimals, help=help_text, key=key
    )


def _bounds(field: FieldInfo) -> tuple[Any, Any]:
    low = high = None
    for limit in field.metadata:
        if isinstance(limit, annotated_types.Ge):
            low = limit.ge
        elif isinstance(limit, annotated_types.Gt):
            low = limit.gt
        elif isinstance(limit, annotated_types.Le):
            high = limit.le
    return low, high


def _magnitude(value: float) -> int:
    """The power of ten of a sensible step for a number: 0.002 is changed by 0.001, 5 by 1."""
    exponent = 0
    while value and abs(value) < 10.0**exponent and exponent > -8:
        exponent -= 1
    return exponent

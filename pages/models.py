"""Models: the three families drawn from the modules that would be trained, with what they cost and what their options
do.
"""

from typing import Any

import streamlit as st
from markupsafe import Markup

from app.diagram import PLAIN_COLOR, diagram_svg, part_colors
from app.forms import encoder_box, fields_form
from app.html import joined, show, show_drawing
from app.network_card import described, format_count, format_milliseconds
from app.tables import bar
from app.widgets import failed_state
from core.config import read_config
from core.errors import LabError
from core.models.explanations import PYRAMID_ON_VIT, explanation
from core.models.families import FAMILIES, options_of
from core.models.summary_types import ModelSummary
from core.text import format_bytes, one_line

SIZES = {"512 × 256": (256, 512), "1024 × 512": (512, 1024), "2048 × 1024": (1024, 2048)}


def choose_options(family: str) -> dict[str, Any]:
    """Draw the widgets of one family, each with what its choice means. Returns the values of a `ModelConfig`."""
    encoder = encoder_box(family, key=f"models-{family}-encoder")
    explain("encoder", encoder, family)
    values: dict[str, Any] = {"family": family, "encoder": encoder}
    for name in options_of(family, encoder):
        values |= fields_form("model", [name], {}, f"models-{family}", {"model": values})
        if name in values:  # it has a say beside the ones before
            explain(name, values[name], family)
    return values


def explain(option: str, value: Any, family: str) -> None:
    """Show the sentences about a choice, right below its widget."""
    result = explanation(option, value, family)
    if result:
        st.caption(result.markdown)


def overview(summary: ModelSummary) -> None:
    """Show one network in a card: its shape, and its figures in rows that stand beside those of the others."""
    figures = {
        "Parameters": format_count(summary.parameters),
        "Arithmetic": f"{summary.flops / 1e9:,.1f} GFLOPs",
        "Output stride": f"{summary.output_stride:.3g} px",
        "Receptive field": f"{summary.receptive_field:,} px" if summary.receptive_field else "the whole picture",
        "Memory of a training step": format_bytes(summary.activation_bytes),
        "Time for a picture, measured": format_milliseconds(summary.milliseconds),
    }
    row = Markup("<div><dt>{}</dt><dd>{}</dd></div>")
    rows = joined(row.format(name, value) for name, value in figures.items())
    card = Markup('<article class="lab-card lab-model"><header><span>{}</span></header>{}<dl>{}</dl></article>')
    show_drawing(card.format(one_line(summary.title), diagram_svg(summary, compact=True), rows))


def detail(summary: ModelSummary, family: str) -> None:
    """Show one network large: its drawing, and how its parameters are spread over its parts."""
    if FAMILIES[family].explanation:  # a family of your own may have none
        st.markdown(FAMILIES[family].explanation.markdown)
    show_drawing(Markup('<div class="lab-scroll" tabindex="0">{}</div>').format(diagram_svg(summary)))
    colors = part_colors(summary)
    row = Markup('<div><dt><i class="lab-swatch" style="background:{}"></i>{}</dt><dd>{}{}</dd></div>')
    rows = [
        row.format(
            colors[part.name],
            f"{part.name}{'' if part.trainable else ' (frozen)'}",
            format_count(part.parameters),
            bar(part.parameters / summary.parameters, colors[part.name]),
        )
        for part in summary.parts
    ]
    rows.append(row.format(PLAIN_COLOR, "nothing to learn", 0, ""))
    show(Markup('<dl class="lab-parts">{}</dl>').format(joined(rows)))
    if any(part.name == "pyramid" for part in summary.parts):
        st.caption(PYRAMID_ON_VIT.markdown)


# page layout
st.title("Models")
text, sizes = st.columns([8, 4], vertical_alignment="bottom", gap="large")
text.markdown(
    "Three ways to give every pixel a class, drawn from the very networks that would be trained. From left to right is"
    " the order of computation, and deeper down means a coarser map."
)
size = SIZES[
    sizes.segmented_control("Size of the picture", list(SIZES), default="512 × 256", required=True, key="models-size")
]
top = st.container()
with top, st.grid(3, min_column_width=300):
    tiles = {family: st.container() for family in FAMILIES}
notes = st.container()
st.subheader("Options, and what they do")
family_shown = st.query_params.get("family", "")
family_shown = family_shown if family_shown in FAMILIES else next(iter(FAMILIES))
drawings = {}
values = {}
for family, tab in zip(
    FAMILIES,
    st.tabs([entry.title for entry in FAMILIES.values()], default=FAMILIES[family_shown].title, key="models-family"),
    strict=True,
):
    with tab:
        left, right = st.columns([76, 24], gap="medium")
        drawings[family] = left.container(key=f"models-{family}-drawing")
        with right:
            values[family] = choose_options(family)

summaries: dict[str, ModelSummary] = {}
for family in FAMILIES:
    try:
        model = read_config({"model": values[family]}).model
        with tiles[family], st.spinner(f"Building {model.title} and running it once"):
            summaries[family] = described(model, size)
        with tiles[family]:
            overview(summaries[family])
        with drawings[family]:
            detail(summaries[family], family)
    except LabError as error:
        for slot in (tiles[family], drawings[family]):
            with slot:
                failed_state(error)
if summaries:
    first = next(iter(summaries.values()))
    notes.caption(
        "Computed from the network: its parameters; the floating-point operations of one prediction, a multiplication"
        " and an addition counted as two; the pixels of the picture for one score; the side of the square that one"
        " score can depend on; and the activations that a training step keeps of one picture for its backward pass, in"
        f" {first.precision}. Measured: the time of one prediction. {first.hardware} It takes longer while a training"
        " runs here."
    )
st.page_link("../pages/train.py", label="Train one of them, or all three", icon=":material/model_training:")

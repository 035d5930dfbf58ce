"""A network on the page Train: its shape, what it costs, how good one may expect it to be, and its options."""

from collections.abc import Sequence
from typing import Any

import streamlit as st
from markupsafe import Markup

from app.diagram import diagram_svg
from app.forms import encoder_box, fields_form
from app.html import show_drawing
from app.services import DESCRIBED_SIZE, inference_worker
from app.widgets import failed_state, run_label
from core.config import OF_RUN, PRESETS, ModelConfig, fields_of, read_config, setting_of
from core.errors import LabError
from core.escaping import escape_markdown
from core.models.encoder_table import encoder_title, encoders_of
from core.models.families import FAMILIES, PLAIN, options_of
from core.models.summary_types import ModelSummary
from core.models.weights_source import WeightsSource, find_weights
from core.paths import runs_folder
from core.runs.metrics_log import minutes_trained
from core.runs.store import best_miou, list_active, list_runs, read_run
from core.text import format_duration, format_percent
from core.training.start import carried_sentence

OF_NETWORKS = [
    name
    for name in fields_of("training")
    if any(condition.field.startswith("model.") for condition in setting_of("training", name).only_if)
]
"""Training fields that depend on the network: they stand on its card."""


START_LABELS = {"auto": "Auto", "pretrained": "Pretrained", "none": "None", OF_RUN: "A run"}


def described(model: ModelConfig, size: tuple[int, int]) -> ModelSummary:
    """Return what a network is made of and costs; measured anew once no training runs beside it.

    Raises LabError when there is no such network.
    """
    return _described(model.model_dump_json(), size, bool(list_active(runs_folder())))


@st.cache_data(show_spinner=False, max_entries=200)
def _described(model: str, size: tuple[int, int], beside_training: bool) -> ModelSummary:
    del beside_training  # it belongs to the question alone: what was timed beside a training isn't kept
    return inference_worker().describe(ModelConfig.model_validate_json(model), size)


@st.cache_data(ttl=30, show_spinner="Looking for pretrained weights")
def weights_of(encoder: str, family: str, weights: str) -> WeightsSource:
    """Return where the first weights would come from if the run were launched now.

    Raises LabError when they can't be had.
    """
    return find_weights(read_config({"model": {"family": family, "encoder": encoder, "weights": weights}}).model)


def network_card(family: str, data: dict[str, Any], class_names: Sequence[str]) -> dict[str, Any]:
    """Show a family's card, and return the parts `model` and `training` of a config as far as it fills them.

    Args:
        family: one of `FAMILIES`.
        data: the dataset fields that were chosen.
        class_names: of these data; empty where they can't be opened yet.
    """
    with st.container(border=True):
        title, link = st.columns([3, 2], vertical_alignment="center")
        title.markdown(f"**{FAMILIES[family].title}**")
        link.page_link(
            "../pages/models.py", label="How it works", icon=":material/account_tree:", query_params={"family": family}
        )
        drawing = st.container()
        st.caption(FAMILIES[family].help)
        encoder = encoder_box(family, key=f"encoder-{family}")
        values: dict[str, Any] = {"family": family, "encoder": encoder}
        values |= _choose_start(family, encoder, class_names)
        if sentence := expectation(family, encoder, data):
            st.caption(sentence)
        with st.expander("Options of this network"):
            key = f"options-{family}"
            preset = st.session_state.get("preset", "taste")
            suiting = PRESETS[preset].suiting(values)
            beside = f"{preset}-{encoder}-{values['weights']}"
            begin, begin_training = suiting.get("model", {}), suiting.get("training", {})
            fresh = {"freeze": beside, "half_size_share": beside}
            options = options_of(family, encoder)
            if values["weights"].startswith(OF_RUN):  # or little of its network would fit
                begin = _model_of(values["weights"]) | begin
                fresh |= dict.fromkeys(options, beside)
            values |= fields_form("model", options, begin, key, {"model": values}, fresh)
            training = fields_form("training", OF_NETWORKS, begin_training, key, {"model": values}, fresh)
        with drawing:
            _drawing(values)
    return {"model": values, "training": training}


def expectation(family: str, encoder: str, data: dict[str, Any]) -> str:
    """Return how good a network may be expected to become on some data: what the newest finished run here came to, or
    else what the lab's own bench did; empty where neither is known.
    """
    for run in list_runs(runs_folder()):
        config = run.config
        if config is None or run.state != "finished" or (miou := best_miou(run.path)) is None:
            continue
        same_data = (config.dataset.name, config.dataset.root) == (data["name"], data.get("root", ""))
        if same_data and (config.model.family, config.model.encoder_name) == (family, encoder):
            duration = format_duration(60 * minutes_trained(run.path))
            return f"The last one on these data: mean IoU {format_percent(miou)} after {duration}."
    if encoder != FAMILIES[family].default_encoder:
        return ""
    for measured in FAMILIES[family].measured:
        if measured.dataset == data["name"]:
            return (
                f"An estimate: mean IoU about {measured.miou:.0%} after {measured.minutes:g} min, as measured on two"
                " CPU cores."
            )
    return ""


def format_count(count: int) -> str:
    """2,979,425 as 2.98 M."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}" if count < 100 * size else f"{count / size:,.0f} {unit}"
    return str(count)


def format_milliseconds(milliseconds: float) -> str:
    """In seconds where there are many."""
    return f"{milliseconds / 1000:.2g} s" if milliseconds >= 1000 else f"{milliseconds:.0f} ms"


def begin_with_run() -> None:
    """Choose the run that the address names by `teacher` to learn from, and the network of the one that it names by
    `start` to go on from, once.
    """
    teacher, run_id = st.query_params.get("teacher", ""), st.query_params.get("start", "")
    if not (run_id or teacher) or st.session_state.get("begun-with") == (run_id, teacher):
        return
    st.session_state["begun-with"] = (run_id, teacher)
    if teacher:
        st.session_state["rarely-teacher"] = teacher
    run = next((run for run in list_runs(runs_folder()) if run.id == run_id), None)
    if run is None or run.config is None or run.config.model.family not in FAMILIES:
        return
    family = run.config.model.family
    st.session_state["families"] = [family]
    st.session_state[f"encoder-{family}"] = run.config.model.encoder_name
    st.session_state[f"begin-weights-{family}"] = OF_RUN
    st.session_state[f"begin-{family}"] = run_id
    st.session_state.pop(f"begin-class_map-{family}", None)


def _choose_start(family: str, encoder: str, class_names: Sequence[str]) -> dict[str, Any]:
    """Show where a network starts from, and return these fields of the part `model`."""
    runs = {
        run.id: run
        for run in list_runs(runs_folder())
        if run.config and run.config.model.family == family and run.has_checkpoint("best")
    }
    kinds = ["none"] if encoder == PLAIN else ["auto", "pretrained", "none"]
    if runs:
        kinds.append(OF_RUN)
    kind = kinds[0]
    if st.session_state.get(f"begin-weights-{family}") not in kinds:
        st.session_state.pop(f"begin-weights-{family}", None)  # chosen when there was a run
    if len(kinds) > 1:
        kind = st.segmented_control(
            "Starts from",
            kinds,
            format_func=START_LABELS.get,
            default=kinds[0],
            required=True,
            help=(
                "Auto takes pretrained weights where a local file or the Hugging Face Hub can be reached, else it"
                " starts from scratch. A run gives the whole network, its classes by name."
            ),
            key=f"begin-weights-{family}",
        )
    if kind != OF_RUN:
        try:
            st.caption(escape_markdown(weights_of(encoder, family, kind).sentence))
        except LabError as error:
            failed_state(error)
        return {"weights": kind}
    if st.session_state.get(f"begin-{family}") not in runs:
        st.session_state.pop(f"begin-{family}", None)
    run_id = st.selectbox("Run", list(runs), format_func=lambda run_id: run_label(runs[run_id]), key=f"begin-{family}")
    run = runs[run_id]
    class_map = st.text_input(
        setting_of("model", "class_map").label,
        placeholder="rider = person, van = car",
        help=fields_of("model")["class_map"].description,
        key=f"begin-class_map-{family}",
    )
    values = {"weights": f"{OF_RUN}{run_id}", "class_map": class_map}
    try:
        model = read_config({"model": {"family": family, "encoder": encoder} | values}).model
        if run.config and run.config.model.encoder_name != encoder:
            remark = f"Its encoder is {encoder_title(run.config.model.encoder_name)}: what fits behind it is taken."
        else:
            remark = carried_sentence(model, run, class_names) if class_names else ""
        st.caption(escape_markdown(remark))
    except LabError as error:
        failed_state(error)
    return values


def _model_of(weights: str) -> dict[str, Any]:
    """Return the part `model` of the run that a network starts from; empty where it can't be read."""
    run = read_run(runs_folder() / weights.removeprefix(OF_RUN))
    return run.config.model.model_dump() if run.config else {}


# Beside the rest of the page: a network that nobody has asked for yet takes seconds to build.
@st.fragment(parallel=True)
def _drawing(values: dict[str, Any]) -> None:
    """Show a network's shape, and what it costs for a picture."""
    if values["encoder"] not in [offered.name for offered in encoders_of(values["family"])]:
        return  # what was typed may be half a name; it is built, and refused, when Train is pressed
    try:
        summary = described(read_config({"model": values}).model, DESCRIBED_SIZE)
    except LabError:
        return  # the page says what is wrong with the choice
    beside = " beside a training" if list_active(runs_folder()) else ""
    time = format_milliseconds(summary.milliseconds)
    figures = f"{format_count(summary.parameters)} parameters, {time} a picture{beside}"
    card = Markup('<div class="lab-shape">{}<small>{}</small></div>')
    show_drawing(card.format(diagram_svg(summary, compact=True), figures))

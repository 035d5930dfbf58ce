"""Train: data, network, length, and off it goes."""

from typing import Any

import streamlit as st

from app.datasets import choose_dataset, draw_streets, opened
from app.forms import fields_form
from app.widgets import failed_state
from core import runner
from core.config import (
    PRESET_HELP,
    PRESETS,
    DatasetConfig,
    ModelConfig,
    TrainingConfig,
    read_config,
    with_preset,
)
from core.data.dataset import streets_are_there
from core.encoders import FAMILY_TITLES, encoder_title, encoders_of
from core.errors import LabError
from core.places import runs_folder
from core.weights import WeightsSource, find_weights

FAMILY_HELP = {
    "fcn": "A classifier made to score every region, with finer scores added from two earlier layers. Fast; thin things blur.",
    "unet": "A path down and a path up, joined at every level. Follows outlines best; costs more per frame.",
    "vit": "Patches that look at each other everywhere. Needs pretrained weights to shine; sees at patch size.",
}
OFTEN_CHANGED = ["learning_rate", "batch_size", "seed"]
RARELY_CHANGED = [
    name
    for name in TrainingConfig.model_fields
    if name not in (*OFTEN_CHANGED, "minutes", "epochs", "evaluations", "checkpoint_seconds")
]


@st.cache_data(ttl=30, show_spinner="Looking for pretrained weights")
def weights_of(encoder: str, family: str, weights: str) -> WeightsSource:
    """Where the first weights would come from if the run were launched now."""
    return find_weights(ModelConfig(family=family, encoder=encoder, weights=weights))


def choose_network(family: str) -> dict[str, Any]:
    """The model part of a config for one family, with the sentence about its first weights."""
    with st.container(border=True):
        st.markdown(f"**{FAMILY_TITLES[family]}**")
        st.caption(FAMILY_HELP[family])
        names = [encoder.name for encoder in encoders_of(family)]
        encoder = st.selectbox("Encoder", names, format_func=encoder_title, key=f"encoder-{family}")
        values: dict[str, Any] = {"family": family, "encoder": encoder}
        if encoder == "plain":
            values["weights"] = "none"
        else:
            values["weights"] = st.segmented_control(
                "First weights",
                ["auto", "pretrained", "none"],
                default="auto",
                required=True,
                help="auto takes pretrained ones where a local file or the Hugging Face Hub can be reached, else it starts from scratch.",
                key=f"weights-{family}",
            )
        try:
            st.caption(weights_of(encoder, family, values["weights"]).sentence)
        except LabError as error:
            failed_state(error)
    return values


def choose_length() -> tuple[str, dict[str, Any], dict[str, Any]]:
    """The preset's name, the training fields, and how frames are read."""
    preset = st.segmented_control(
        "Preset", list(PRESETS), format_func=str.capitalize, default="taste", required=True, key="preset"
    )
    st.caption(f"{preset.capitalize()}: {PRESET_HELP[preset]}.")
    length = ["epochs" if PRESETS[preset].get("minutes") == 0 else "minutes", "evaluations"]
    # The preset sets only these; what was typed into the others stays.
    values = fields_form(TrainingConfig, length, PRESETS[preset], key=f"length-{preset}")
    values |= fields_form(TrainingConfig, OFTEN_CHANGED, {}, key="often")
    with st.expander("Everything else"):
        values |= fields_form(TrainingConfig, RARELY_CHANGED, {}, key="rarely")
        reading = fields_form(DatasetConfig, ["height", "width", "train_limit", "val_limit"], {}, key="reading")
    return preset, values, reading


# page layout
st.title("Train")
st.subheader("1 Data")
dataset_values = choose_dataset("train")
annotations = st.segmented_control(
    "Masks to learn from",
    ["fine", "coarse"],
    format_func=str.capitalize,
    default="fine",
    required=True,
    help=DatasetConfig.model_fields["annotations"].description,
    key="annotations",
)
dataset_values = dataset_values | {"annotations": annotations}
dataset = None
if dataset_values["name"] == "streets" and not streets_are_there():
    st.caption("The street scenes will be drawn first; that takes less than a minute.")
else:
    try:
        dataset = opened(dataset_values)
    except LabError as error:
        failed_state(error)  # and go on: the rest of the form must not be lost
    if dataset:
        st.caption(f"{len(dataset.train)} frames to learn from, {len(dataset.val)} to score on, in {dataset.root}.")
st.subheader("2 Networks")
families = st.pills(
    "Families",
    list(FAMILY_TITLES),
    format_func=FAMILY_TITLES.get,
    selection_mode="multi",
    default=["fcn"],
    key="families",
    label_visibility="collapsed",
)
networks = []
if families:
    with st.grid(3, min_column_width=300):
        for family in (name for name in FAMILY_TITLES if name in families):
            with st.container():
                networks.append(choose_network(family))
else:
    st.caption("Choose at least one network.")
st.subheader("3 Length")
preset, training_values, reading_values = choose_length()

ready = bool(networks) and (dataset is not None or dataset_values["name"] == "streets")
label = "Train" if len(networks) < 2 else f"Train {len(networks)} networks, one after the other"
if st.button(label, type="primary", icon=":material/play_arrow:", disabled=not ready, key="launch"):
    try:
        configs = [
            read_config(
                with_preset(
                    {"dataset": dataset_values | reading_values, "model": model, "training": training_values}, preset
                )
            )
            for model in networks
        ]
        if dataset_values["name"] == "streets":
            draw_streets()
        for config in configs:
            find_weights(config.model)  # refuses here what the trainer would refuse later
        started = [runner.launch(config, runs_folder()).name for config in configs]
        st.switch_page("../pages/runs.py", query_params={"runs": started})
    except LabError as error:
        failed_state(error)
st.caption("Training goes on when this page is closed, and when the lab itself is restarted.")

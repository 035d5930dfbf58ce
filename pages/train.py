"""Train: data, network, length, and off it goes."""

from typing import Any

import streamlit as st
from markupsafe import Markup

from app.datasets import choose_dataset, frame_size, opened, paint_first, summarize_folder
from app.dry_run_panel import COLOR, dry_run_panel, lr_finder_panel
from app.figures import schedule_figure
from app.forms import (
    apply_pending,
    augmentation_form,
    fields_form,
    groups_of,
    names_in,
    recall_form,
    remember_form,
)
from app.html import joined, show
from app.network_card import OF_NETWORKS, begin_with_run, network_card
from app.services import inference_worker, thumbnails
from app.train_summary import show_changes, show_command, what_it_takes
from app.widgets import failed_state
from core import runner
from core.config import (
    PRESETS,
    ModelConfig,
    RunConfig,
    choices_of,
    fields_of,
    has_a_say,
    read_config,
    setting_of,
    with_preset,
)
from core.data.annotations.masks import UnpaintedError
from core.data.dataset import Dataset, spread
from core.data.sources import SOURCES
from core.errors import LabError
from core.escaping import escape_markdown
from core.labelling.label_set import list_label_sets
from core.models.encoder_table import encoders_of
from core.models.families import FAMILIES
from core.paths import runs_folder
from core.runner.quotas import check_may_track
from core.squeue import cluster_is_there
from core.text import plural
from core.tracking.tracker import check_trackers
from core.training.start import find_start, find_teacher
from core.training.tables import OPTIMIZERS

ENGINE_TITLES = {"local": "This machine", "slurm": "Cluster (SLURM)"}
SMALL = (64, 128)
"""Height and width of the picture on which a network is tried, in pixels."""
SHOWN_APART = ("Length", "Often changed", "Augmentation")
"""Groups of training fields that stand open, or have a form of their own."""
OPEN = ("Length", "Often changed", "Masks", "")
"""Groups of fields that are always in sight."""
SHAPE_OF_RATE = [
    "minutes", "epochs", "learning_rate", "schedule", "warmup_fraction", "gamma", "gamma_epochs", "power",
]  # fmt: skip
HOLDING_BACK = ("val_fraction", "group_by")
FORM = (
    *("families", "encoder", "begin", "options", "annotations", "corrections", "masks", "preset", "length", "often"),
    *("rarely", "reading", "engine", "cluster", "tracking"),
)
"""How the keys begin of the widgets whose values outlast a look at another page."""


def choose_masks(dataset: dict[str, Any]) -> dict[str, Any]:
    """Return the dataset fields that say which masks are learned from: what Cityscapes offers, and what a folder of
    one's own does.

    Args:
        dataset: the fields that were chosen already.
    """
    name = dataset["name"]
    values: dict[str, Any] = {}
    if has_a_say({"dataset": {"name": name}}, "dataset", "annotations"):
        field = fields_of("dataset")["annotations"]
        values["annotations"] = st.segmented_control(
            field.title,
            choices_of(field),
            format_func=lambda kind: kind.replace("+", " and ").capitalize(),
            default="fine",
            required=True,
            help=field.description,
            key="annotations",
        )
    values |= choose_corrections(dataset)
    shown_apart = {"annotations", "corrections", *(HOLDING_BACK if states_its_split(dataset) else ())}
    rest = [each for each in names_in("dataset", "Masks") if each not in shown_apart]
    return values | fields_form(
        "dataset", rest, {}, "masks", {"dataset": {"name": name, "annotations": "fine"} | values}
    )


def choose_corrections(dataset: dict[str, Any]) -> dict[str, Any]:
    """Offer the label sets in which labels of a data set were mended; returns the dataset field that names the chosen
    one, nothing where there is none.
    """
    try:
        root = str(SOURCES[dataset["name"]].root(dataset.get("root", "")))
    except LabError:
        return {}  # said where the data set is opened
    learned = {
        str(each.root): (each.title, len({*each.labelled} - {*each.held_back}))
        for each in list_label_sets()
        if each.mends == root
    }
    mended = {path: f"{plural(count, 'frame')} of {title}" for path, (title, count) in learned.items() if count}
    if st.session_state.get("corrections", "") not in ("", *mended):
        del st.session_state["corrections"]  # of other data, or gone
    if not mended:
        return {}
    field = fields_of("dataset")["corrections"]
    chosen = st.selectbox(
        field.title,
        ["", *mended],
        format_func=lambda path: mended.get(path, "none"),
        help=field.description,
        key="corrections",
    )
    return {"corrections": chosen}


def states_its_split(dataset: dict[str, Any]) -> bool:
    """Return whether a folder of one's own says itself which frames are for validation."""
    if SOURCES[dataset["name"]].group != "folder" or not dataset["root"]:
        return False
    try:
        return summarize_folder(read_config({"dataset": dataset}).dataset).report.is_split_stated
    except (LabError, OSError):
        return False  # said where the data set is opened


def check_encoder(model: ModelConfig) -> None:
    """Build a network on an encoder that was typed, so that a name that doesn't do is refused before anything is
    launched.

    Raises:
        LabError: timm has no such encoder, or it doesn't fit the family.
    """
    if model.encoder_name not in [offered.name for offered in encoders_of(model.family)]:
        with st.spinner(f"Building {model.title} to see whether it fits"):
            inference_worker().describe(model, SMALL)


def preview_schedule(values: dict[str, Any]) -> None:
    """Show the learning rate over a training, as the form stands."""
    try:
        training = read_config({"training": {name: values[name] for name in SHAPE_OF_RATE if name in values}}).training
    except LabError:
        return  # the form says what is wrong
    st.plotly_chart(schedule_figure(training, COLOR), config={"displayModeBar": False}, key="schedule-preview")
    if training.minutes and training.schedule == "step":
        st.caption(f"It falls by epochs. How many the minutes hold isn't known yet: drawn for {training.epochs:g}.")


def choose_length() -> tuple[str, dict[str, Any]]:
    """Return the preset's name, and the training fields that stand open."""
    preset = st.segmented_control(
        "Preset", list(PRESETS), format_func=str.capitalize, default="taste", required=True, key="preset"
    )
    chosen = PRESETS[preset]
    st.caption(f"{chosen.help[0].upper()}{chosen.help[1:]}.")
    # The preset sets only these; what was typed into the others stays.
    length = names_in("training", "Length")
    values = fields_form("training", length, chosen.training, f"length-{preset}", {"training": chosen.training})
    begin, fresh = begin_with_the_optimizer()
    values |= fields_form("training", names_in("training", "Often changed"), begin, "often", fresh=fresh)
    if begin:
        title = OPTIMIZERS[st.session_state["rarely-optimizer"]].title
        st.caption(f"With {title} the learning rate begins at {begin['learning_rate']:g}, unlike AdamW's.")
    return preset, values


def begin_with_the_optimizer() -> tuple[dict[str, float], dict[str, str]]:
    """Return what fields begin with beside the chosen optimizer, and the choice that this hangs on, by field."""
    optimizer = st.session_state.get("rarely-optimizer", fields_of("training")["optimizer"].default)
    begin = dict(OPTIMIZERS[optimizer].defaults)
    return begin, dict.fromkeys(begin, optimizer)


def choose_rest(
    preset: str, values: dict[str, Any], dataset: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return what stands in closed groups: training fields, how frames of a data set are read, and other trackers.

    Args:
        preset: its name.
        values: the training fields that were chosen already.
        dataset: the dataset fields that were.
    """
    group_shown = find_setting(values, dataset)
    with st.grid(3, min_column_width=300):
        with st.expander("Augmentation", expanded=group_shown == "Augmentation"):
            values = values | augmentation_form("augmentation")
            st.page_link("../pages/data.py", label="See what the network will see", icon=":material/crop:")
        begin, fresh = begin_with_the_optimizer()
        for group in groups_of("training"):
            if group in SHOWN_APART:
                continue
            with st.expander(group, expanded=group_shown == group):
                apart = (*OF_NETWORKS, *PRESETS[preset].training)
                names = [name for name in names_in("training", group) if name not in apart]
                values |= fields_form("training", names, begin, "rarely", {"training": values}, fresh)
                if "schedule" in names:
                    preview_schedule(values)
        with st.expander("Frames", expanded=group_shown == "Frames"):
            names = [name for name in names_in("dataset", "Frames") if name not in dataset]
            size = frame_size(dataset)
            # Other frames have another size to begin with: fresh widgets.
            key = f"reading-{dataset.get('root', '')}-{size['height']}-{size['width']}"
            reading = fields_form("dataset", names, size, key, {"dataset": dataset, "training": values})
        tracking = choose_trackers()
    return values, reading, tracking


def find_setting(values: dict[str, Any], dataset: dict[str, Any]) -> str:
    """Return the group of the setting that is looked for by its name, and mark its widget; empty where none is."""
    known = {"training": values, "dataset": dataset}
    groups = {
        (part, name): setting_of(part, name).group
        for part in ("training", "dataset")
        for name in fields_of(part)
        if (part == "dataset" or name not in OF_NETWORKS) and has_a_say(known, part, name)
    }
    closed = {field: group for field, group in groups.items() if group not in OPEN}
    setting = st.selectbox(
        "Find a setting",
        list(closed),
        format_func=lambda field: f"{setting_of(*field).title} ({closed[field].lower()})",
        index=None,
        placeholder="Find a setting: crop, loss, workers",
        label_visibility="collapsed",
        key="find-setting",
        width=420,
    )
    if setting is None:
        return ""
    # A widget's key ends with the field's name, or goes on after another dash.
    style = Markup(
        "<style>.stMain :is([class$='-{0}'], [class*='-{0} '], [class*='-{0}-'])"
        " {{ outline: 2px solid var(--lab-accent); outline-offset: 4px; border-radius: 4px; }}</style>"
    )
    show(style.format(setting[1]))
    return closed[setting]


def choose_engine() -> dict[str, Any]:
    """Return the part `runner`: this machine, or what is asked of the cluster. Only where jobs can be submitted."""
    if not cluster_is_there():
        return {}
    st.subheader("4 Where")
    engine = st.segmented_control(
        "Engine",
        list(ENGINE_TITLES),
        format_func=ENGINE_TITLES.get,
        default="local",
        required=True,
        help=fields_of("runner")["engine"].description,
        key="engine",
    )
    if engine == "local":
        return {"engine": engine}
    fields = [name for name in fields_of("runner") if name != "engine"]
    st.caption(
        "Each network is a job of its own. Data and runs must lie on a disk that the nodes share with this machine."
    )
    return {"engine": engine} | fields_form("runner", fields, {}, "cluster")


def choose_trackers() -> dict[str, Any]:
    """Return the part `tracking`: where else the numbers go, and what is missing for that."""
    with st.expander("Other trackers"):
        values = fields_form(
            "tracking", sorted(fields_of("tracking"), key=lambda name: name == "project"), {}, "tracking"
        )
        try:
            tracking = read_config({"tracking": values}).tracking
            check_may_track(tracking)
            check_trackers(tracking)
        except LabError as error:
            failed_state(error)
        st.caption("Each is told by a process of its own: one that is slow or gone leaves the training as it is.")
    return values


def show_data(dataset: Dataset) -> None:
    """Show what is learned from: three frames under their labels, how many there are, and the classes."""
    frames = dataset.train or dataset.val
    base = thumbnails().base(dataset, frames)
    figure = Markup('<figure><img src="{}{}.jpg" alt="A frame under its labels"></figure>')
    figures = [figure.format(base, number) for number in spread(range(len(frames)), 3)]
    show(Markup('<div class="lab-strip lab-three">{}</div>').format(joined(figures)))
    classes = plural(len(dataset.space.class_names), "class", "classes")
    st.caption(
        f"{len(dataset.train)} frames to learn from, {len(dataset.val)} to score on, {classes}, in"
        f" {escape_markdown(str(dataset.root))}."
    )


def crop_remark(config: RunConfig) -> str:
    """Return what happens to frames that are smaller than a crop; empty where none is."""
    training, data = config.training, config.dataset
    if training.crop_height <= data.height and training.crop_width <= data.width:
        return ""
    return (
        f"Crops of {training.crop_width} x {training.crop_height} pixels are larger than the frames, which are read at"
        f" {data.width} x {data.height}: a frame is enlarged until it fills one, which teaches nothing finer. Take"
        " smaller crops, or larger frames."
    )


# page layout
st.title("Train")
recall_form("train")
apply_pending()
begin_with_run()
what, which, how_long = st.columns(3, gap="large")
with what:
    st.subheader("1 Data")
    dataset_values = choose_dataset("train")
    dataset_values |= choose_masks(dataset_values)
    dataset = None
    source = SOURCES[dataset_values["name"]]
    if source.is_generated and not source.is_here(""):
        st.caption("The street scenes will be drawn first; that takes less than a minute.")
    else:
        try:
            dataset = opened(dataset_values)
        except UnpaintedError as error:
            paint_first(dataset_values, error)
        except LabError as error:
            failed_state(error)  # and go on: the rest of the form must not be lost
            if dataset_values.get("root"):
                st.page_link(
                    "../pages/data.py", label="See what lies there, and name its classes", icon=":material/rule_folder:"
                )
        if dataset:
            show_data(dataset)
with which:
    st.subheader("2 Networks")
    families = st.pills(
        "Families",
        list(FAMILIES),
        format_func=lambda family: FAMILIES[family].title,
        selection_mode="multi",
        default=["fcn"],
        key="families",
        label_visibility="collapsed",
    )
    class_names = dataset.space.class_names if dataset else ()
    networks = [network_card(family, dataset_values, class_names) for family in FAMILIES if family in families]
    if not networks:
        st.caption("Choose at least one network.")
with how_long:
    st.subheader("3 Length")
    preset, training_values = choose_length()
    runner_values = choose_engine()
training_values, reading_values, tracking_values = choose_rest(preset, training_values, dataset_values)
remember_form("train", FORM)

configs: list[RunConfig] = []
try:
    configs = [
        read_config(
            with_preset(
                {
                    "dataset": dataset_values | reading_values,
                    "model": network["model"],
                    "training": training_values | network["training"],
                    "runner": runner_values,
                    "tracking": tracking_values,
                },
                preset,
            )
        )
        for network in networks
    ]
except LabError as error:
    if dataset is not None or source.is_generated:  # else it was said above what is missing
        failed_state(error)
if dataset and configs:
    trial = st.expander(
        "Try first: what it will take, and which learning rate",
        icon=":material/timer:",
        key="try-first",
        on_change="rerun",  # or another network would close it
    )
    with trial:
        if runner_values.get("engine") == "slurm":
            st.caption("This is tried on this machine: on the cluster's nodes time and memory will differ.")
        dry_run_panel(configs, "dry-run")
        tried = 0
        if len(configs) > 1:
            tried = st.segmented_control(
                "For",
                range(len(configs)),
                format_func=lambda index: configs[index].model.title,
                default=0,
                required=True,
                key="tried",
            )
        lr_finder_panel(configs[tried], "rate")
ready = bool(configs) and (dataset is not None or source.is_generated)
order = "" if runner_values.get("engine") == "slurm" else ", one after the other"
label = "Train" if len(networks) < 2 else f"Train {len(networks)} networks{order}"
with st.container(key="train-summary"):
    if configs:
        show_changes(configs, preset)
        if remark := crop_remark(configs[0]):
            st.caption(remark)
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button(label, type="primary", icon=":material/play_arrow:", disabled=not ready, key="launch")
        if configs:
            show_command(configs, preset)
            if ready:
                st.caption(what_it_takes(configs, dataset))
    if pressed:
        try:
            for config in configs:
                check_trackers(config.tracking)
                check_encoder(config.model)
            for config in configs:
                find_start(config.model)  # refuses here what the trainer would refuse later
                find_teacher(config.training)
            started = [runner.launch(config, runs_folder()).name for config in configs]
            st.switch_page("../pages/runs.py", query_params={"runs": started})
        except LabError as error:
            failed_state(error)
st.caption("Training goes on when this page is closed, and when the lab itself is restarted.")

"""Sweep: which settings are worth having. A form for a new one, and what came out of those that ran or run."""

import json
from typing import Any

import streamlit as st

from app.datasets import choose_dataset, opened, paint_first
from app.figures import importance_figure, parallel_figure, scatter_figure, survivors_figure
from app.forms import encoder_box, fields_form, names_in
from app.html import joined
from app.services import inference_worker
from app.tables import Cell, badge, run_link, table
from app.widgets import RUN_COLORS, failed_state, status_card
from core import runner
from core.auth import may_change, read_owner
from core.config import choices_of, setting_of
from core.data.annotations.masks import UnpaintedError
from core.errors import LabError
from core.escaping import escape_markdown
from core.models.encoder_table import encoders_of
from core.models.families import FAMILIES, NOT_TRAINED, PLAIN, options_of
from core.paths import PROJECT, runs_folder
from core.sweeps import (
    Range,
    Sweep,
    SweepConfig,
    delete_sweep,
    find_sweep,
    list_sweeps,
    read_spec,
    read_sweep,
    resume_sweep,
    start_sweep,
    stop_sweep,
)
from core.sweeps.space import fields_that_vary
from core.text import format_duration, plural

NEW = "new"
"""What the picker calls a sweep that is still to be described."""
METHODS = {"grid": "All combinations", "random": "At random", "tpe": "Where it went well", "halving": "Halving"}
METHOD_HELP = {
    "grid": "Every combination of the values that are listed.",
    "random": "Settings drawn at random: more values of each for the same number of trials than a grid has.",
    "tpe": "After ten draws at random, rather where the scores were good so far (a tree-structured Parzen estimator).",
    "halving": (
        "All combinations on a small random part of the data; the worse half is dropped, the data doubled, and so on."
    ),
}
DRAWN = ("random", "tpe")
COMMON = ("Often changed", "Optimizer and schedule", "Loss", "Augmentation", "Length")
"""Groups of training fields that are offered for what all trials have in common."""
READING = ["height", "width", "max_val_samples"]
SMALL = (64, 128)
"""Height and width of the picture on which a network is tried, in pixels."""
STARTING_SECONDS = 12
"""What a run takes besides its training, about: its process, the network, the data."""
REFRESH_SECONDS = 2.0
MAX_TYPED = 2000
"""Letters of a list of values."""


def title_of(sweep: Sweep) -> str:
    """Return a sweep in one line, for the picker."""
    when = f"{sweep.id[4:6]}-{sweep.id[6:8]} {sweep.id[9:11]}:{sweep.id[11:13]}"
    if sweep.spec is None:
        return f"{when} · can't be read"
    return f"{when} · {METHODS[sweep.spec.method].lower()}, {plural(sweep.spec.count, 'trial')} · {sweep.state}"


def pick_sweep() -> str:
    """Return the id of the sweep that is looked at, or `NEW`.

    What is picked stands in the page's address, to be shared.
    """
    sweeps = {sweep.id: sweep for sweep in list_sweeps(runs_folder())}
    requested = st.session_state.pop("sweep-next", None) or st.query_params.get("sweep")
    if requested and requested != NEW and requested not in sweeps:
        try:
            requested = find_sweep(requested, runs_folder()).id
        except LabError as error:
            failed_state(error)
            requested = None
    running = next((sweep.id for sweep in sweeps.values() if sweep.is_active), NEW)
    if st.session_state.get("sweep-shown") != requested or "sweep-picked" not in st.session_state:
        st.session_state["sweep-picked"] = requested or running
    chosen = st.selectbox(
        "Sweep",
        [NEW, *sweeps],
        format_func=lambda sweep_id: title_of(sweeps[sweep_id]) if sweep_id in sweeps else "A new sweep",
        key="sweep-picked",
    )
    st.query_params["sweep"] = st.session_state["sweep-shown"] = chosen
    return chosen


def show_next(sweep_id: str) -> None:
    """Go to a sweep at the next run of the page."""
    st.session_state["sweep-next"] = sweep_id
    st.rerun()


# ---- a new sweep


def fill_in_study() -> None:
    """Begin the form with the study's sweep, docs/study.json."""
    values = json.loads((PROJECT / "docs" / "study.json").read_text(encoding="utf-8"))
    st.session_state["sweep-begin"] = values
    st.session_state["sweep-form"] = st.session_state.get("sweep-form", 0) + 1
    st.session_state["dataset-name"] = values["base"]["dataset"]["name"]


def listed(name: str, field: Any, values: list[Any] | None, key: str) -> list[str]:
    """Draw a widget for the values of a setting, as they are typed."""
    choices = choices_of(field) or (("yes", "no") if field.annotation is bool else ())
    choices = tuple(choice for choice in choices if choice not in NOT_TRAINED)
    begin = ", ".join(str(value) for value in values or choices or [field.default])
    typed = st.text_input(
        f"{setting_of(*name.split('.')).label}: values",
        begin,
        max_chars=MAX_TYPED,
        help=f"{field.description} Separate values by commas.",
        key=key,
    )
    return [part.strip() for part in typed.split(",") if part.strip()]


def ranged(name: str, field: Any, key: str) -> dict[str, Any]:
    """Draw widgets for the range of a setting."""
    label = setting_of(*name.split(".")).label
    low, high, scale = st.columns([3, 3, 2], vertical_alignment="bottom")
    begin = field.default or 0.01
    with low:
        lowest = st.text_input(f"{label}: from", f"{begin / 4:g}", help=field.description, key=f"{key}-low")
    with high:
        highest = st.text_input("to", f"{begin:g}", key=f"{key}-high")
    with scale:
        log = st.toggle("log", value=begin < 0.1, help="Draw the logarithm evenly.", key=f"{key}-log")
    return {"low": lowest.strip(), "high": highest.strip(), "log": log}


def choose_space(method: str, family: str, encoder: str, begin: dict[str, Any], key: str) -> dict[str, Any]:
    """Return what varies, as it is typed: values or a range, by the field's full name."""
    fields = fields_that_vary()
    own = {f"model.{name}" for name in options_of(family, encoder)}
    offered = [name for name in fields if name.startswith("training.") or name in own]
    chosen = st.multiselect(
        "Settings to vary",
        offered,
        default=[name for name in begin if name in offered],
        format_func=lambda name: f"{setting_of(*name.split('.')).title} ({name.split('.')[0]})",
        placeholder="Learning rate, weight decay, ...",
        key=f"{key}-fields",
    )
    vary: dict[str, Any] = {}
    with st.grid(2, min_column_width=320):
        for name in chosen:
            field = fields[name]
            with st.container():
                if method in DRAWN and field.annotation in (int, float):
                    vary[name] = ranged(name, field, f"{key}-{name}-range")
                else:
                    vary[name] = listed(name, field, begin.get(name), f"{key}-{name}-values")
    return vary


def plan_text(spec: SweepConfig, frames: int) -> str:
    """Return how much a sweep is, in a sentence or two."""
    rounds = spec.rounds(frames)
    trainings = sum(planned.contestants for planned in rounds)
    text = f"{plural(spec.count, 'trial')}."
    if len(rounds) > 1:
        steps = ", then ".join(f"{planned.contestants} on {planned.frames}" for planned in rounds)
        text = f"{spec.count} trials in {len(rounds)} rounds: {steps} frames, {trainings} trainings in all."
    minutes = spec.base.training.minutes
    if minutes and not {"training.minutes", "training.epochs"} & spec.vary.keys():
        work = sum(planned.contestants * planned.frames / frames for planned in rounds)
        return (
            f"{text} About {format_duration(minutes * 60 * work + STARTING_SECONDS * trainings)}, one after the other."
        )
    return f"{text} How long that takes is known after the first training."


def new_sweep() -> None:
    """Draw the form, from the data to the button."""
    begin = st.session_state.get("sweep-begin", {})
    key = f"sweep-{st.session_state.get('sweep-form', 0)}"
    base = begin.get("base", {})
    st.button(
        "The study's 36 combinations",
        on_click=fill_in_study,
        icon=":material/school:",
        help="Learning rate, gamma, weight decay and dropout of a small U-Net on street scenes, by halving.",
        key="study",
    )
    st.subheader("1 Data")
    data = choose_dataset("sweep")
    frames = 0
    try:
        dataset = opened(data)
        if dataset:
            frames = len(dataset.train)
            st.caption(
                f"{frames} frames to learn from, {len(dataset.val)} to score on, in"
                f" {escape_markdown(str(dataset.root))}."
            )
    except UnpaintedError as error:
        paint_first(data, error)
    except LabError as error:
        failed_state(error)
    st.subheader("2 Network")
    families = list(FAMILIES)
    family = st.segmented_control(
        "Family",
        families,
        format_func=lambda name: FAMILIES[name].title,
        default=base.get("model", {}).get("family", families[0]),
        required=True,
        key=f"{key}-family",
    )
    encoder_key = f"{key}-encoder-{family}"
    if family == base.get("model", {}).get("family"):
        st.session_state.setdefault(encoder_key, base["model"]["encoder"])
    encoder = encoder_box(family, encoder_key)
    st.subheader("3 What varies")
    method = st.segmented_control(
        "Method",
        list(METHODS),
        format_func=METHODS.get,
        default=begin.get("method", "grid"),
        required=True,
        key=f"{key}-method",
    )
    st.caption(METHOD_HELP[method])
    vary = choose_space(method, family, encoder, begin.get("vary", {}), key)
    values: dict[str, Any] = {"method": method, "vary": vary}
    left, right = st.columns(2)
    seed_slot = right if method in DRAWN or method == "halving" else left
    if method in DRAWN:
        values["trials"] = left.number_input("Trials", 1, 500, 20, key=f"{key}-trials")
    if method == "halving":
        share = begin.get("first_share", SweepConfig.model_fields["first_share"].default)
        values["first_share"] = left.number_input(
            "Share of the data in the first round", 0.01, 1.0, share, step=0.05, key=f"{key}-share"
        )
    values["seed"] = seed_slot.number_input(
        "Seed of the sweep",
        0,
        10**6,
        0,
        help="Another seed draws other settings and another part of the data.",
        key=f"{key}-seed",
    )
    st.subheader("4 What all trials have in common")
    training = base.get("training", {})
    unit = st.segmented_control(
        "Length of a training",
        ["minutes", "epochs"],
        format_func=str.capitalize,
        default="epochs" if training.get("minutes") == 0 else "minutes",
        required=True,
        help="In minutes, faster settings see more frames. In epochs, all see the same.",
        key=f"{key}-unit",
    )
    fixed = fields_form("training", [unit], training, f"{key}-length")
    common: dict[str, Any] = {"minutes": 0.0} | fixed
    with st.expander("Settings that don't vary"):
        network = {"family": family, "encoder": encoder} | ({"weights": "none"} if encoder == PLAIN else {})
        names = [name for name in options_of(family, encoder) if f"model.{name}" not in vary]
        begin = base.get("model", {})
        model = network | fields_form("model", names, begin, f"{key}-model-{family}", {"model": network})
        for group in COMMON:
            names = [name for name in names_in("training", group) if f"training.{name}" not in vary]
            names = [name for name in names if name not in ("minutes", "epochs")]
            # What varies rules nothing out: some trial may have the value that another setting needs.
            fixed = {name: value for name, value in common.items() if f"training.{name}" not in vary}
            common |= fields_form("training", names, training, f"{key}-training", {"model": model, "training": fixed})
        reading = fields_form("dataset", READING, base.get("dataset", {}), f"{key}-reading")
    values["base"] = {"dataset": data | reading, "model": model, "training": common}

    spec = None
    if not vary:
        st.caption("Choose at least one setting to vary.")
    elif frames:
        try:
            spec = read_spec(values)
            st.caption(plan_text(spec, frames))
        except LabError as error:
            failed_state(error)
    if st.button(
        "Start the sweep", type="primary", icon=":material/play_arrow:", disabled=spec is None, key="start-sweep"
    ):
        try:
            if encoder not in [offered.name for offered in encoders_of(family)]:
                with st.spinner("Building the network to see whether it fits"):
                    inference_worker().describe(spec.base.model, SMALL)
            path = start_sweep(spec, runs_folder())
        except LabError as error:
            failed_state(error)
        else:
            show_next(path.name)
    st.caption("A sweep goes on when this page is closed, and when the lab itself is restarted.")


# ---- a sweep that runs or ran


def head(sweep: Sweep, progress: Any) -> None:
    """Show a sweep's state, how far it is, and the sentence when something is wrong."""
    share = progress.done / progress.total if progress.total else 0.0
    metadata = [f"{progress.done} of {progress.total} trainings"]
    if progress.seconds_left is not None:
        metadata.append(f"about {format_duration(progress.seconds_left)} left")
    if sweep.status.ended:
        metadata.append(f"took {format_duration(sweep.status.ended - sweep.status.created)}")
    sentence = sweep.status.error or sweep.problem
    if sweep.state == "lost":
        sentence = (
            "The sweep stopped unexpectedly: the machine was switched off, or its process was killed. Resume it to"
            " go on."
        )
    title = f"{METHODS[sweep.spec.method]}: {plural(sweep.spec.count, 'trial')}" if sweep.spec else sweep.id
    state = badge(sweep.state, sweep.state)
    status_card(joined([title]), state, share, "var(--lab-accent)", metadata, sentence, [], sweep.id)


def actions(sweep: Sweep, winner: Any) -> None:
    """Draw the buttons of what can be done with a sweep."""
    is_mine = may_change(read_owner(sweep.path))
    with st.container(horizontal=True):
        try:
            if sweep.is_active and is_mine:
                request = sweep.is_stopping
                label = "Stopping its run" if request else "Stop"
                if st.button(label, icon=":material/stop:", disabled=request, key="stop-sweep"):
                    stop_sweep(sweep.path)
                    st.rerun()
            elif (
                sweep.state != "finished"
                and not sweep.is_active
                and is_mine
                and sweep.spec
                and st.button("Resume", icon=":material/resume:", key="resume-sweep")
            ):
                resume_sweep(sweep.path)
                st.rerun()
            if is_mine and not sweep.is_active:
                with st.popover("Delete", icon=":material/delete:"):
                    st.caption("The sweep is removed for good. The runs that it trained stay.")
                    if st.button("Delete the sweep", type="primary", key="delete-sweep"):
                        delete_sweep(sweep.path)
                        show_next(NEW)
            if (
                winner
                and not sweep.is_active
                and st.button(
                    "Train the winner in full",
                    type="primary",
                    icon=":material/trophy:",
                    help="A run of its own with the winner's settings: 60 passes over all the data.",
                    key="train-winner",
                )
            ):
                config = sweep.spec.full_config(winner.params)
                st.switch_page("../pages/runs.py", query_params={"runs": [runner.launch(config, runs_folder()).name]})
        except LabError as error:
            st.toast(escape_markdown(str(error)), icon=":material/error:")  # outlives the next tick


def figures(sweep: Sweep, trials: list[Any]) -> None:
    """Show what the scores say about the settings."""
    from core.sweeps.trials import importances, ranked

    best = ranked(trials)[0]
    if len(sweep.rounds) > 1:
        st.subheader("Survivors by round")
        lines = {f"trial {trial.number}": trial.scores for trial in trials if trial.scores}
        frames = [planned.frames for planned in sweep.rounds]
        drawing = survivors_figure(lines, frames, f"trial {best.number}", RUN_COLORS[0])
        st.plotly_chart(drawing, key="survivors", config={"displayModeBar": False})
    scored = [trial for trial in trials if trial.scores]
    scores = [trial.scores[0] for trial in scored]
    score_name = "mIoU (%)" if len(sweep.rounds) == 1 else "mIoU (%), round 1"
    names = {name: name.split(".")[1].replace("_", " ") for name in sweep.spec.vary}
    settings = {title: [trial.params[name] for trial in scored] for name, title in names.items()}
    logarithmic = {names[name] for name, choice in sweep.spec.vary.items() if isinstance(choice, Range) and choice.log}
    if len(scored) > 1:
        st.subheader("From the settings to the score")
        drawing = parallel_figure(settings, scores, score_name, logarithmic)
        st.plotly_chart(drawing, key="parallel", config={"displayModeBar": False})
        st.caption("Each line is a trial. Draw along an axis to see only the trials that pass there.")
    wide, narrow = st.columns([7, 4], gap="large")
    with wide:
        st.subheader("Each setting by itself")
        labels = [f"trial {trial.number}" for trial in scored]
        drawing = scatter_figure(settings, scores, labels, RUN_COLORS[0], score_name, logarithmic)
        st.plotly_chart(drawing, key="scatter", config={"displayModeBar": False})
    with narrow:
        st.subheader("Importance")
        shares = importances(sweep.spec, trials)
        if shares:
            drawing = importance_figure({names[name]: share for name, share in shares.items()}, RUN_COLORS[0])
            st.plotly_chart(drawing, key="importance", config={"displayModeBar": False})
            st.caption(
                "What sets the best quarter of the trials apart from all (PED-ANOVA). With a dozen trials it is a hint,"
                " no more."
            )
        else:
            st.caption("It takes at least four scored trials, not all alike, to say which setting matters.")


def trials_table(sweep: Sweep, trials: list[Any]) -> None:
    """Show every trial, the best first, with links to its runs."""
    from core.sweeps.trials import ranked

    best_first = ranked(trials)
    best_first += [trial for trial in trials if trial not in best_first]
    names = list(sweep.spec.vary)
    rows = []
    for trial in best_first:
        values = (trial.params.get(name, "") for name in names)
        links = [part for run in trial.runs for part in (run_link(run, run[-4:]), " ")]
        open_state = "under way" if sweep.is_active else "interrupted"
        state = open_state if trial.state == "open" else trial.state
        rows.append(
            (
                Cell(f"{trial.number} · {state}", title=trial.error),
                Cell(f"{trial.score:.1%}" if trial.scores else "–", "lab-best" if trial is best_first[0] else ""),
                str(len(trial.scores)),
                *(f"{value:.4g}" if isinstance(value, float) else str(value) for value in values),
                joined([*links[:-1]]),
            )
        )
    st.subheader("Trials")
    table(("trial", "mIoU", "rounds", *(name.split(".")[1].replace("_", " ") for name in names), "runs"), rows)
    errors = sorted({trial.error for trial in trials if trial.error})
    if errors:
        st.caption(escape_markdown("Failed: " + " ".join(errors[:3])))


def show_sweep(sweep_id: str, was_active: bool) -> None:
    """All of a sweep; while it runs, drawn again every two seconds."""
    from core.sweeps.trials import progress_of, ranked, read_trials  # Optuna takes a second to import

    sweep = read_sweep(find_sweep(sweep_id, runs_folder()).path)
    if was_active and not sweep.is_active:
        st.rerun(scope="app")
    trials = []
    try:
        trials = read_trials(sweep)
    except LabError as error:
        failed_state(error)
    head(sweep, progress_of(sweep, trials))
    best = ranked(trials)
    actions(sweep, best[0] if best else None)
    if sweep.spec is None:
        return
    if best:
        figures(sweep, trials)
    else:
        st.caption("The first score comes with the end of the first training.")
    if trials:
        trials_table(sweep, trials)


# page layout
st.title("Sweep")
picked = pick_sweep()
if picked == NEW:
    new_sweep()
else:
    runs_now = find_sweep(picked, runs_folder()).is_active
    st.fragment(show_sweep, run_every=REFRESH_SECONDS if runs_now else None)(picked, runs_now)

"""What stays in sight while a training is put together: its settings in short, and the command that does the same."""

from collections.abc import Iterable, Sequence
from typing import Any

import streamlit as st

from app.forms import set_later
from core.commands.options import command_line
from core.config import RunConfig, differences, read_config, setting_of, with_preset
from core.data.dataset import Dataset
from core.escaping import escape_markdown
from core.models.families import FAMILIES
from core.training.plan import count_steps


def show_changes(configs: Sequence[RunConfig], preset: str) -> None:
    """Show which settings differ from what they would be if nobody had touched them, each to be put back."""
    changes = list(_changes(configs, preset))
    if not changes:
        return
    with st.container(horizontal=True, gap="xsmall", key="train-changed"):
        for part, name, mine, usual, family in changes:
            title = setting_of(part, name).title
            of = f"{FAMILIES[family].title}: " if family and len(configs) > 1 else ""
            st.button(
                f"{of}{title} **{escape_markdown(str(mine))}**",
                icon=":material/close:",
                help=f"Put it back to {usual}.",
                key=f"put-back-{part}.{name}.{family}",
                on_click=set_later,
                args=(part, name, usual, family),
            )


def show_command(configs: Sequence[RunConfig], preset: str) -> None:
    """Show what launches the same from a shell."""
    with st.popover("As a command", icon=":material/terminal:"):
        st.caption("Typed in the lab's folder, this launches the same.")
        st.code("\n".join(command_line(config, preset) for config in configs), language="bash", wrap_lines=True)


def what_it_takes(configs: Sequence[RunConfig], dataset: Dataset | None) -> str:
    """Return frames, length and crops of the runs in a line; how long epochs take, *Try first* tells. Without a data
    set its frames will be drawn.
    """
    training = configs[0].training
    frames = f"{len(dataset.train):,} frames" if dataset else "frames that will be drawn"
    crops = f"crops of {training.crop_width} x {training.crop_height}, {training.batch_size} to a step"
    each = " each" if len(configs) > 1 else ""
    if training.minutes:
        total = f", {len(configs) * training.minutes:g} min in all" if len(configs) > 1 else ""
        return f"{training.minutes:g} min{each}{total}; {frames}, {crops}."
    length = f"{training.epochs:g} passes over {frames}{each}"
    if dataset:
        length += f", {count_steps(training, len(dataset.train), 0, 1, 0):,} steps"
    return f"{length}; {crops}."


def _changes(configs: Iterable[RunConfig], preset: str) -> Iterable[tuple[str, str, Any, Any, str]]:
    """Yield part, name, value and usual value of each setting that was changed, and the family whose own it is."""
    listed = set()
    for config in configs:
        model = {name: getattr(config.model, name) for name in ("family", "encoder")}
        untouched = {"dataset": config.dataset.model_dump(), "model": model}
        # Another optimizer brings its own rate: that isn't a change of the rate.
        same_optimizer = untouched | {"training": {"optimizer": config.training.optimizer}}
        changed = differences(config, read_config(with_preset(same_optimizer, preset)))
        plain = read_config(with_preset(untouched, preset))
        if config.training.optimizer != plain.training.optimizer:
            changed["training.optimizer"] = (config.training.optimizer, plain.training.optimizer)
        for full_name, (mine, usual) in changed.items():
            part, name = full_name.split(".")
            family = config.model.family if part == "model" else ""
            if part == "dataset" or (full_name, family) in listed:
                continue
            listed.add((full_name, family))
            yield part, name, mine, usual, family

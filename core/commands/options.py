"""What commands share: config fields as options, and speaking in words or in JSON."""

import argparse
import shlex
from pathlib import Path
from typing import Any

from core.config import (
    OWN,
    PRESETS,
    RunConfig,
    choices_of,
    differences,
    fields_of,
    read_config,
    setting_of,
    with_preset,
    with_stored_fields,
    with_todays_names,
)
from core.errors import LabError
from core.files import parse_json
from core.runner.move_data import move_data
from core.runs.store import Run, read_run


def json_option() -> argparse.ArgumentParser:
    """Return a parent for actions of a command that has --json itself: no default, so that it may stand anywhere."""
    common = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("--json", action="store_true", help="print one JSON object and nothing else")
    return common


def say(options: argparse.Namespace, text: str) -> None:
    """Print a sentence, unless JSON is asked for."""
    if not options.json:
        print(text)


def add_moved_root(command: argparse.ArgumentParser) -> None:
    """Add the option that tells where the data of a run lie now."""
    command.add_argument(
        "--dataset.root",
        dest="moved_root",
        default="",
        metavar="FOLDER",
        help="where the run's data lie now, if they were moved",
    )


def moved(run: Run, options: argparse.Namespace) -> Run:
    """Return a run, with its data where `add_moved_root` says that they lie now."""
    if not options.moved_root:
        return run
    move_data(run.path, options.moved_root)
    return read_run(run.path)


def add_config(command: argparse.ArgumentParser) -> None:
    """What a run is asked for with."""
    command.add_argument("--preset", choices=list(PRESETS), help="fill in the length of the training")
    command.add_argument("--config", type=Path, help="a config.json to begin with, of an older run for example")
    add_fields(command)


def add_fields(command: argparse.ArgumentParser) -> None:
    """Add one option per field of a config, in a group per part."""
    for part in RunConfig.model_fields:
        add_part(command, part)


def add_part(command: argparse.ArgumentParser, part: str) -> None:
    """Add one option per field of a part of a config."""
    group = command.add_argument_group(part)
    for name, detail in fields_of(part).items():
        _add_field(group, f"{part}.{name}", detail)


def _add_field(group: Any, name: str, detail: Any) -> None:
    """One option per config field.

    Type, help and unit are the field's own, and its bounds are checked by the config.
    """
    unit = setting_of(*name.split(".")).unit
    default = "" if detail.default in ("", None) else f" Default {detail.default}{' ' + unit if unit else ''}."
    text = (detail.description + default).replace("%", "%%")
    if detail.annotation is bool:
        group.add_argument(f"--{name}", dest=name, action=argparse.BooleanOptionalAction, help=text)
        return
    choices = choices_of(detail) or None
    group.add_argument(
        f"--{name.replace('_', '-')}",
        dest=name,
        type=detail.annotation if detail.annotation in (int, float) else str,
        choices=choices,
        metavar=None if choices else (unit or "VALUE").upper(),
        help=text,
    )


def requested_config(options: argparse.Namespace) -> RunConfig:
    """Return the config that a file, a preset and single options describe together; frames of one's own keep their
    shape where no size is named. Raises LabError.
    """
    values = read_values(options.config) if options.config else {}
    for part, fields in overrides(options).items():
        values[part] = values.get(part, {}) | fields
    values = with_preset(values, options.preset) if options.preset else values
    config = read_config(values)
    if config.dataset.name not in OWN or {"height", "width"} & values.get("dataset", {}).keys():
        return config
    from core.data.dataset import open_dataset
    from core.data.frame_shape import fitting_size

    try:
        height, width = fitting_size(open_dataset(config.dataset))
    except LabError:
        return config  # what is wrong with the data is said where they are needed
    return read_config(values | {"dataset": values["dataset"] | {"height": height, "width": width}})


def command_line(config: RunConfig, preset: str) -> str:
    """Return the command that launches a run like this one: what a preset doesn't say is named, and what is as it
    would be anyway isn't.

    Args:
        config: of the run.
        preset: it began with.
    """
    model = {"family": config.model.family, "encoder": config.model.encoder, "weights": config.model.weights}
    plain = read_config(with_preset({"model": model}, preset))
    named = {name: mine for name, (mine, _) in differences(config, plain).items()}
    named |= {f"model.{name}": value for name, value in model.items() if value != fields_of("model")[name].default}
    if config.dataset.name in OWN:  # or frames would be read at the size that suits their shape
        named |= {"dataset.height": config.dataset.height, "dataset.width": config.dataset.width}
    arguments = ["python", "-m", "core", "train", "--preset", preset]
    for name, value in named.items():
        if isinstance(value, bool):
            arguments.append(f"--{name}" if value else f"--no-{name}")
        else:
            # One word: a value may begin with a dash.
            arguments.append(f"--{name.replace('_', '-')}={value}")
    return shlex.join(arguments)


def overrides(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return the config fields that were named on the command line, part by part."""
    return {
        part: {
            key.split(".")[1]: value
            for key, value in vars(options).items()
            if key.startswith(f"{part}.") and value is not None
        }
        for part in RunConfig.model_fields
    }


def read_values(path: Path) -> dict[str, Any]:
    """Return the plain values of a config.json, part by part.

    The fields are checked later, together with the options.
    """
    try:
        values = parse_json(path.read_bytes())
    except ValueError:
        values = None
    if not isinstance(values, dict) or not all(isinstance(part, dict) for part in values.values()):
        raise LabError(f"'{path}' is not the config of a run. Name the config.json of one.")
    return with_todays_names(with_stored_fields(values))

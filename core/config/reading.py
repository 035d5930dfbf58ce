"""From plain values to a config, with sentences for what is wrong in them, and with the names of older versions."""

from typing import Any

from pydantic import ValidationError

from core.config.run import PRESETS, RunConfig, bounds_of, fields_of
from core.config.training import TrainingConfig
from core.errors import LabError
from core.models.families import TRANSFORMERS
from core.text import shorten

OLD_NAMES: dict[str, str] = {
    "dataset.val_share": "val_fraction",
    "dataset.train_limit": "max_train_samples",
    "dataset.train_sample": "train_sample_seed",
    "dataset.val_limit": "max_val_samples",
    "training.zoom_min": "scale_min",
    "training.zoom_max": "scale_max",
    "training.warm_up": "warmup_fraction",
    "training.encoder_rate": "encoder_lr_scale",
    "training.added_loss": "second_loss",
    "training.added_loss_weight": "second_loss_weight",
    "training.clip_norm": "grad_clip_norm",
    "training.processes": "num_processes",
}
"""Fields of version 0.1 and what they are called now."""

STORED: dict[str, tuple[str, Any]] = {"training.test_scale": ("", 1.0), "model.head_blocks": ("vit", 1)}
"""Fields that the config of a run may lack, because it is older than they are: the family that has them, or "" for all,
and what it was made with.
"""


MUST_BE = {
    **dict.fromkeys(("float_parsing", "float_type", "finite_number"), "a number"),
    **dict.fromkeys(("int_parsing", "int_type", "int_from_float", "int_parsing_size"), "a whole number"),
    **dict.fromkeys(("bool_parsing", "bool_type"), "true or false"),
    "string_type": "a text",
}
"""What a field must be, by pydantic's kinds of complaint."""


def read_stored_config(values: dict[str, Any]) -> RunConfig:
    """Return the config of a run that was made by this version or an earlier one; raises LabError as `read_config`."""
    return read_config(with_stored_fields(values))


def with_stored_fields(values: dict[str, Any]) -> dict[str, Any]:
    """Return the plain values of a run's config with what it was made with where it lacks a field."""
    if not isinstance(values, dict) or not all(isinstance(fields, dict) for fields in values.values()):
        return values  # refused with a sentence later
    for field, (family, value) in STORED.items():
        part, name = field.split(".")
        if family in ("", values.get("model", {}).get("family")):
            values = values | {part: {name: value} | values.get(part, {})}
    return values


def read_config(values: dict[str, Any]) -> RunConfig:
    """Check plain values and make a config of them; names of older versions are understood.

    Raises:
        LabError: a field is unknown or out of range; the message names each field, its value and what is allowed.
    """
    try:
        return RunConfig.model_validate(with_todays_names(values))
    except ValidationError as error:
        raise LabError(" ".join(_sentence(detail) for detail in error.errors())) from None


def with_todays_names(values: dict[str, Any]) -> dict[str, Any]:
    """Return plain values with the fields of version 0.1 under today's names."""
    if not isinstance(values, dict) or not all(isinstance(fields, dict) for fields in values.values()):
        return values  # refused with a sentence later
    renamed = {
        part: {OLD_NAMES.get(f"{part}.{name}", name): value for name, value in fields.items()}
        for part, fields in values.items()
    }
    if "val_share" in values.get("dataset", {}):  # version 0.1 held back single frames
        renamed["dataset"].setdefault("group_by", "frame")
    if renamed.get("model", {}).get("family") == "reference":
        renamed["model"]["family"] = TRANSFORMERS
    if "accumulation" in renamed.get("training", {}):
        renamed["training"] |= _accumulated(renamed["training"])
        del renamed["training"]["accumulation"]
    return renamed


def todays_name(field: str) -> str:
    """Return the full name of a field that version 0.1 called `field`."""
    part, _, name = field.partition(".")
    return f"{part}.{OLD_NAMES.get(field, name)}"


def _accumulated(training: dict[str, Any]) -> dict[str, Any]:
    """Return batches of today for a version 0.1 step, whose `accumulation` divided the batch."""
    parts, batch = training["accumulation"], training.get("batch_size", TrainingConfig().batch_size)
    if not isinstance(parts, int) or not isinstance(batch, int) or parts < 1:
        return {"accumulate_grad_batches": parts}
    if batch % parts or batch // parts < training.get("num_processes", 1):
        return {}  # unequal parts can't be said any more; the whole at once learns the same
    return {"batch_size": batch // parts, "accumulate_grad_batches": parts}


def with_preset(values: dict[str, Any], preset: str) -> dict[str, Any]:
    """Return `values` with the fields of a preset filled in where `values` doesn't set them itself."""
    if preset not in PRESETS:
        raise LabError(f"There is no preset '{preset}'. Choose one of: {', '.join(PRESETS)}.")
    chosen = PRESETS[preset]
    suiting = chosen.suiting(values.get("model", {}))
    filled = {part: fields | values.get(part, {}) for part, fields in suiting.items()}
    return values | filled | {"training": chosen.training | filled.get("training", values.get("training", {}))}


def _sentence(detail: Any) -> str:
    """Return one pydantic complaint as a sentence with field, value and allowed range."""
    field = shorten(".".join(str(part) for part in detail["loc"]) or "config")
    value = shorten(repr(detail["input"]))
    match detail["type"]:
        case "extra_forbidden":
            return f"'{field}' is not a setting of a run. {_known_fields(detail['loc'])}"
        case "value_error":
            return str(detail["ctx"]["error"])
        case "literal_error":
            return f"{field} is {value}, but must be one of {detail['ctx']['expected']}."
        case "greater_than_equal" | "greater_than" | "less_than_equal":
            return f"{field} is {value}, but must be {_range_text(detail['loc'])}."
        case kind if kind in MUST_BE:
            return f"{field} is {value}, but must be {MUST_BE[kind]}."
        case _:
            return f"{field} is {value}: {detail['msg'][:1].lower()}{detail['msg'][1:]}."


def _range_text(location: tuple[Any, ...]) -> str:
    part, name = location
    bounds = bounds_of(fields_of(part)[name])
    low = f"at least {bounds['ge']}" if "ge" in bounds else f"more than {bounds['gt']}"
    return f"{low} and at most {bounds['le']}"


def _known_fields(location: tuple[Any, ...]) -> str:
    part = str(location[0])
    names = fields_of(part) if len(location) > 1 and part in RunConfig.model_fields else RunConfig.model_fields
    return f"Known here: {', '.join(names)}."

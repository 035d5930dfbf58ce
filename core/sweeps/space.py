"""What a sweep varies and in which order it is tried: every combination is checked once, before its folder is made.

A halving sweep trains all its trials on a small part of the data, drops the worse half, doubles the data, and so on.
Every round shows each of its frames equally often: half the trials on twice the data is the same work again.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.config import PRESETS, Condition, RunConfig, fields_of, read_config, setting_of, todays_name
from core.errors import LabError
from core.text import shorten

Method = Literal["grid", "random", "tpe", "halving"]
Value = bool | int | float | str
PARTS = ("model", "training")
"""The parts of a config whose fields may vary: on other data or at another size a score would mean another thing."""
MAX_TRIALS = 500
MAX_FIELDS = 12
MAX_VALUES = 100
"""Listed values of one setting."""
MAX_CHECKED = 2**MAX_FIELDS
"""Combinations that are checked before a sweep starts, at 0.4 ms each: as many as there are corners of ranges alone."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Range(_Part):
    """Numbers from `low` to `high`, both included; `log` draws their logarithm evenly."""

    low: int | float = Field(allow_inf_nan=False)
    high: int | float = Field(allow_inf_nan=False)
    log: bool = False


class SweepConfig(_Part):
    """What is studied, by which method. Made by `read_spec`, which checks what is said here field by field as a whole.

    Attributes:
        base: the run that all trials are like, but for what varies.
        method: `grid` tries all combinations, `random` draws them, `tpe` draws where it went well so far, and `halving`
            drops the worse half of all combinations (of `trials` draws, where a range is among them) after every round.
        vary: values or a range by name of the field, like training.learning_rate; a sweep of version 0.1 keeps its
            names.
        trials: how many are drawn.
        first_share: of the training frames, for the first round of halving.
        seed: every random choice of the sweep follows from it; the trials' own seed is the base's.
    """

    base: RunConfig
    method: Method = "grid"
    vary: dict[str, tuple[Value, ...] | Range]
    trials: int = Field(default=20, ge=1, le=MAX_TRIALS)
    first_share: float = Field(default=0.125, gt=0, le=1)
    seed: int = Field(default=0, ge=0, le=2**31 - 2)

    @property
    def is_grid(self) -> bool:
        """Return whether all combinations of listed values are tried, false where some are drawn."""
        return self.method in ("grid", "halving") and not any(
            isinstance(choice, Range) for choice in self.vary.values()
        )

    @property
    def count(self) -> int:
        """Return how many trials there will be."""
        return math.prod(len(values) for values in self.vary.values()) if self.is_grid else self.trials  # type: ignore[misc]

    def rounds(self, frames: int) -> list["Round"]:
        """Return the rounds as planned, for so many training frames; trials that fail make later ones smaller."""
        if self.method != "halving":
            return [Round(self.count, frames)]
        planned, contestants, part = [], self.count, max(1, math.ceil(frames * self.first_share))
        while not planned or (contestants > 1 and planned[-1].frames < frames):
            planned.append(Round(contestants, min(part, frames)))
            contestants, part = survivors(contestants), part * 2
        return planned

    def config_of(self, params: Mapping[str, Value], part: int, frames: int) -> RunConfig:
        """Return the config of a trial's run on a part of the training frames, both in frames."""
        values = _merged(self.base, params)
        if self.method == "halving":
            values["dataset"] |= {
                "max_train_samples": part if part < frames else self.base.dataset.max_train_samples,
                "train_sample_seed": self.base.dataset.train_sample_seed or self.seed + 1,
            }
            values["training"]["minutes"] *= part / frames
        return read_config(values)

    def full_config(self, params: Mapping[str, Value]) -> RunConfig:
        """Return the config that trains a trial's choice in full: the preset's length, all the data."""
        values = _merged(self.base, params)
        values["training"] |= PRESETS["full"].training
        values["dataset"] |= {"max_train_samples": 0, "train_sample_seed": 0}
        return read_config(values)


@dataclass(frozen=True)
class Round:
    """One round: how many trials are trained in it, each on how many frames."""

    contestants: int
    frames: int


def survivors(contestants: int) -> int:
    """Return how many of a round's trials go on: the better half, with the middle one."""
    return (contestants + 1) // 2


def fields_that_vary() -> dict[str, Any]:
    """Return every field that a sweep may vary, by its full name, as pydantic describes it."""
    return {
        f"{part}.{name}": field
        for part in PARTS
        for name, field in fields_of(part).items()
        if name != "architecture"  # of a network that isn't trained here
    }


def read_spec(values: Any) -> SweepConfig:
    """Check the plain values of a sweep, each combination of its settings included.

    Raises:
        LabError: something is unknown, out of range, or doesn't go together; the message names it.
    """
    spec = parse_spec(values)
    return spec.model_copy(update={"vary": _checked(spec)})


def parse_spec(values: Any) -> SweepConfig:
    """Read the plain values of a sweep by types and names alone: its combinations were checked before it was kept.

    Raises:
        LabError: something is of the wrong type, unknown or too much; the message names it.
    """
    if not isinstance(values, dict):
        raise LabError("A sweep is described by an object with base, method and vary. See docs/study.json for one.")
    base = values.get("base", {})
    base = base if isinstance(base, RunConfig) else read_config(base)
    try:
        spec = SweepConfig.model_validate(values | {"base": base})
    except ValidationError as error:
        # Values and ranges are both tried: of what is wrong with either, what lies deepest is about the one that was
        # meant.
        detail = max(error.errors(), key=lambda each: len(each["loc"]))
        where = shorten(".".join(str(part) for part in detail["loc"][:2]))
        message = detail["msg"][:1].lower() + detail["msg"][1:]
        raise LabError(f"'{where}' can't be used in a sweep: {message}. See docs/study.json for an example.") from None
    _check_names(spec)
    return spec


def _check_names(spec: SweepConfig) -> None:
    """Raise LabError where what varies is unknown, or more than a sweep takes."""
    if not 1 <= len(spec.vary) <= MAX_FIELDS:
        raise LabError(f"{len(spec.vary)} settings vary, but a sweep takes 1 to {MAX_FIELDS}. Choose some.")
    fields = fields_that_vary()
    for name, choice in spec.vary.items():
        if todays_name(name) not in fields:
            raise LabError(
                f"'{shorten(name)}' can't be varied. Name a field of model or training, like training.learning_rate."
            )
        if not isinstance(choice, Range) and len(choice) > MAX_VALUES:
            raise LabError(f"{name} has {len(choice):,} values, but a sweep takes {MAX_VALUES} of each. List fewer.")


def _checked(spec: SweepConfig) -> dict[str, tuple[Value, ...] | Range]:
    """Return what varies, each value in its field's own type, after every combination has been a config once."""
    fields = fields_that_vary()
    corners: dict[str, list[Value]] = {}
    for name, choice in spec.vary.items():
        if isinstance(choice, Range):
            _check_range(name, choice, spec.method, fields[todays_name(name)].annotation)
            corners[name] = [choice.low, choice.high]
        elif choice:
            corners[name] = [_chosen(fields[todays_name(name)].annotation, value) for value in choice]
        else:
            raise LabError(f"{name} has no values to try. Type some, separated by commas.")
    if spec.is_grid and spec.count > MAX_TRIALS:
        raise LabError(
            f"These are {spec.count:,} combinations, but a sweep takes {MAX_TRIALS} at most. Vary less, or draw some at"
            " random."
        )
    if math.prod(len(values) for values in corners.values()) > MAX_CHECKED:
        raise LabError(
            "So much varies that the combinations can't all be checked. Vary fewer settings, or fewer values."
        )
    typed = {name: list(values) for name, values in corners.items()}
    for indices, params in _numbered(corners):
        config = read_config(_merged(spec.base, params))
        for name, position in indices.items():
            typed[name][position] = _value(config, name)
    for name, values in typed.items():
        seen: set[Value] = set()
        for value in values:
            if value in seen:
                raise LabError(f"{name} has the value {value!r} twice. Leave one out.")
            seen.add(value)
    for name in typed:
        conditions = setting_of(*todays_name(name).split(".")).only_if
        if conditions and not any(_can_hold(condition, typed, spec.base) for condition in conditions):
            needed = " or ".join(condition.text for condition in conditions)
            raise LabError(f"{name} does nothing unless {needed}. Set that for all trials, or vary something else.")
    return {
        name: (
            choice.model_copy(update={"low": typed[name][0], "high": typed[name][1]})
            if isinstance(choice, Range)
            else tuple(typed[name])
        )
        for name, choice in spec.vary.items()
    }


def _check_range(name: str, choice: Range, method: Method, annotation: Any) -> None:
    if method == "grid":
        raise LabError(f"{name} has a range, but a grid needs values. List some, or draw at random.")
    if annotation not in (int, float):
        raise LabError(f"{name} is no number, so it has no range. List the values to try.")
    if choice.high <= choice.low:
        raise LabError(f"{name} is to go from {choice.low:g} to {choice.high:g}. The second must be the larger.")
    if choice.log and choice.low <= 0:
        raise LabError(f"{name} begins at {choice.low:g}, but on a logarithmic scale there is no zero. Begin above it.")


def _can_hold(condition: Condition, typed: Mapping[str, list[Value]], base: RunConfig) -> bool:
    """Return whether some trial fulfils a condition."""
    part, name = condition.field.split(".")
    values = typed.get(condition.field, [_value(base, condition.field)])
    return any(condition.holds({part: {name: value}}) for value in values)


def _chosen(annotation: Any, value: Value) -> Value:
    """Return a value that was typed, as the one of a field's choices that reads the same."""
    return next((choice for choice in get_args(annotation) if str(choice) == value), value)


def _numbered(choices: Mapping[str, list[Value]]) -> Iterator[tuple[dict[str, int], dict[str, Value]]]:
    """Yield every combination, each as the positions of its values and as the values."""
    for indices in itertools.product(*(range(len(values)) for values in choices.values())):
        results = dict(zip(choices, indices, strict=True))
        yield results, {name: choices[name][index] for name, index in results.items()}


def _merged(base: RunConfig, params: Mapping[str, Value]) -> dict[str, dict[str, Any]]:
    values = base.model_dump()
    for name, value in params.items():
        part, field = todays_name(name).split(".")
        values[part][field] = value
    return values


def _value(config: RunConfig, name: str) -> Value:
    part, field = todays_name(name).split(".")
    return getattr(getattr(config, part), field)

"""What is known of a config field beside its type: label, unit, group, and when it has a say."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

MANY = 10
"""More values than this are a range of whole numbers, of which a sentence says the ends."""
OFF = (0, False, "none", "")
Level = Literal["basic", "advanced"]


@dataclass(frozen=True)
class Condition:
    """True of a run when a field has one of some values.

    Attributes:
        field: full name, "training.schedule".
        values: that fulfil it; none stands for all but `other_than`.
        names: a regular expression that a text begins with that fulfils it, instead of values.
        meaning: what such a text names.
        other_than: values that don't fulfil it where no others are named; as a rule those that switch something off.
    """

    field: str
    values: tuple[Any, ...] = ()
    names: str = ""
    meaning: str = ""
    other_than: tuple[Any, ...] = OFF

    def holds(self, values: Mapping[str, Mapping[str, Any]]) -> bool:
        """Return whether it holds for plain values, part by part; a field that isn't among them counts as fulfilled."""
        part, name = self.field.split(".")
        if name not in values.get(part, {}):
            return True
        value = values[part][name]
        if self.names:
            return re.match(self.names, str(value)) is not None
        return value in self.values if self.values else value not in self.other_than

    @property
    def text(self) -> str:
        """The condition in words, for a sentence: "training.schedule is step"."""
        if self.names:
            return f"{self.field} is {self.meaning}"
        if not self.values:
            return f"{self.field} is {'set' if self.other_than == OFF else f'not {self.other_than[0]}'}"
        if len(self.values) > MANY:
            return f"{self.field} is {self.values[0]} to {self.values[-1]}"
        return f"{self.field} is {' or '.join(str(value) for value in self.values)}"


@dataclass(frozen=True)
class Setting:
    """What is known of a config field beside its type, default, bounds and help.

    Attributes:
        title: label for people, "Focal loss weight".
        unit: "px", or empty.
        group: heading under which forms and reports show it.
        level: `basic` stands open on the form, `advanced` in its group.
        only_if: it has a say when any of these holds; none: always.
        off: values that switch it off; a report leaves such a setting out.
        in_report: False for what changes no number, or is said elsewhere in a report.
        is_run: it is the id of a run that has a network, or empty.
    """

    title: str
    unit: str = ""
    group: str = ""
    level: Level = "advanced"
    only_if: tuple[Condition, ...] = ()
    off: tuple[Any, ...] = ()
    in_report: bool = True
    is_run: bool = False

    @property
    def label(self) -> str:
        """The title with its unit."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


class Part(BaseModel):
    """A part of a run's config: frozen, and refusing fields that it doesn't know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def field(
    default: Any,
    title: str,
    help: str,
    unit: str = "",
    *,
    group: str = "",
    level: Level = "advanced",
    only_if: tuple[Condition, ...] = (),
    off: tuple[Any, ...] = (),
    in_report: bool = True,
    is_run: bool = False,
    **bounds: Any,
) -> Any:
    """Declare a config field: default, label, help, and what `Setting` holds; bounds are pydantic's ge, gt, le."""
    setting = Setting(title, unit, group, level, only_if, off, in_report, is_run)
    extra: Any = {"setting": setting}
    return Field(default=default, title=title, description=help, json_schema_extra=extra, **bounds)

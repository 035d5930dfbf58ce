"""What an examination of a data set hands back: findings, each a sentence and what mends it, and what was counted on
the way.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from core.errors import LabError
from core.labels import Color

Severity = Literal["error", "warning", "note"]
Layout = Literal["cityscapes", "folder", "none"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""The worst first."""
MAX_FILES = 20
"""Files that a finding names at most."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        code: names the kind of finding for programs, `train-ids` for example.
        severity: an error is what training refuses; a warning may spoil a score; a note is harmless.
        sentence: what was found, for a student.
        files: where, as paths relative to the root, `MAX_FILES` at most.
        count: in how many files, the unnamed ones too.
        fix: what to do about it; empty where nothing must be done.
    """

    code: str
    severity: Severity
    sentence: str
    files: tuple[str, ...] = ()
    count: int = 0
    fix: str = ""

    @property
    def text(self) -> str:
        """The sentence and what to do, as one line."""
        return f"{self.sentence} {self.fix}".strip()


@dataclass(frozen=True)
class Report:
    """Everything an examination found.

    Attributes:
        root: the folder.
        layout: how it is laid out; `none` where it holds no pictures.
        pairs: frames with labels, by part: a split, or a split and "(coarse)".
        findings: the errors first.
        classes: the names of the classes that were counted; empty without a class table.
        colors: their colours.
        pixels: by part, pixels of each class at the files' own size.
        images: by part, frames that show each class.
        labels: by part, label files that these counts are of.
        sizes: how many photographs have which size, "2048 x 1024" for example.
        ids: how many label files hold which id, or "#rrggbb".
        proposal: the text of a classes.json that fits these masks; empty where none is needed or possible.
        looked_at: frames whose files were read.
        split_source: who says which frames are for validation, as a sentence; empty for Cityscapes.
        is_split_stated: whether folders or lists do, so that none are held back.
    """

    root: Path
    layout: Layout
    pairs: dict[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    classes: tuple[str, ...] = ()
    colors: tuple[Color, ...] = ()
    pixels: dict[str, list[int]] = field(default_factory=dict)
    images: dict[str, list[int]] = field(default_factory=dict)
    labels: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)
    proposal: str = ""
    looked_at: int = 0
    split_source: str = ""
    is_split_stated: bool = False

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that training refuses."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    @property
    def healthy(self) -> bool:
        """True where training would begin."""
        return not self.errors

    @property
    def exit_code(self) -> int:
        """What the command line returns: 0, or 42 where the user has something to mend."""
        return 0 if self.healthy else 42

    def to_json(self) -> dict[str, Any]:
        """Return the report in values that JSON knows."""
        return asdict(self) | {"root": plain(self.root), "healthy": self.healthy, "exit_code": self.exit_code}


def refuse_broken(report: Report) -> None:
    """Raise the first error of a report as a `LabError`; returns where there is none."""
    for finding in report.errors[:1]:
        raise LabError(finding.text)


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings by severity; those of the same keep their order."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def about_files(
    root: Path, code: str, severity: Severity, paths: Iterable[Path], sentence: str, fix: str = ""
) -> Finding:
    """Return a finding about files; `{}` in the sentence becomes the first one's name and the number of the others."""
    names = tuple(relative(path, root) for path in paths)
    return Finding(code, severity, sentence.replace("{}", named(names)), names[:MAX_FILES], len(names), fix)


def named(names: tuple[str, ...]) -> str:
    """Return the first of some names, and how many others are like it; what follows is said of the first."""
    others = len(names) - 1
    return f"'{names[0]}'" + (f" (like {others} other{'s' * (others > 1)})" if others else "")


def relative(path: Path, root: Path) -> str:
    """Return a path as it is shown: under the root, with anything that can't be printed replaced."""
    return plain(path.relative_to(root) if path.is_relative_to(root) else path)


def plain(path: Path) -> str:
    """Return a path as text that any terminal and file can take, whatever bytes its name has."""
    return str(path).encode("utf-8", "replace").decode()

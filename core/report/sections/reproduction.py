"""Reproduction: commands that make the runs again, seeds, versions, fingerprints of data and weights, and the files of
the numbers.
"""

import math
import shlex
from collections.abc import Callable, Iterator
from itertools import zip_longest

from core.config import RunConfig
from core.report.phrases import Column, Content, cells, note, paragraph, table_of_runs, text
from core.report.report_data import ReportData, RunSummary
from core.report.structure import Block, Code, Commands, Section, Table


def reproduction(data: ReportData) -> list[Section]:
    """Return the section."""
    return [Section("reproduction", "Reproduction", tuple(_blocks(data)))]


def _blocks(data: ReportData) -> Iterator[Block]:
    yield paragraph("These commands train the runs again; every setting that they don't name has its default.")
    yield Commands(tuple(line for summary in data.summaries for line in _train_lines(summary)))
    yield from _budgets(data.summaries)
    yield paragraph(
        "These score them, and write this report; ", Code("RUN"), " stands for the id that the training prints."
    )
    yield Commands(("python -m core score RUN", _report_line(data)))
    yield _fingerprints(data)
    yield _versions(data)
    if data.commit:
        changes = ", with changes that are not committed" if data.commit.endswith("and changes") else ""
        yield paragraph("The lab is at commit ", Code(data.commit.split()[0]), changes, ".")
    yield note(
        "Every number of this document names its source in its file: in the page as the attribute data-source, in the"
        " LaTeX source in the tables' .csv files. A source is a file of the run's folder and a place in it."
    )


def train_command(config: RunConfig) -> str:
    """Return the command that trains a run of this config, each setting that differs from its default named."""
    arguments = ["python", "-m", "core", "train"]
    for part, detail in RunConfig.model_fields.items():
        for name, field in detail.annotation.model_fields.items():
            value = getattr(getattr(config, part), name)
            if value == field.default:
                continue
            if isinstance(value, bool):
                arguments.append(f"--{'' if value else 'no-'}{part}.{name}")
            else:
                arguments += [f"--{part}.{name.replace('_', '-')}", str(value)]
    return shlex.join(arguments)


def _train_lines(summary: RunSummary) -> list[str]:
    label = "".join(letter for letter in summary.label if letter.isprintable())
    return [f"# {label}, run {summary.run.id}", train_command(summary.config)]


def _budgets(summaries: tuple[RunSummary, ...]) -> Iterator[Block]:
    """Give a budget in minutes, which is another number of steps elsewhere, as epochs that are the same number."""
    lines = []
    for summary in summaries:
        epochs = same_epochs(summary)
        if epochs:
            training = summary.config.training.model_copy(update={"minutes": 0.0, "epochs": epochs})
            lines += [f"# {summary.label}", train_command(summary.config.model_copy(update={"training": training}))]
    if lines:
        yield paragraph(
            "A length in minutes becomes a number of steps on the machine that trains. The same number of steps on any"
            " machine:"
        )
        yield Commands(tuple(lines))


def same_epochs(summary: RunSummary) -> float | None:
    """Return epochs with which a run that was given minutes has as many steps; None where that can't be had."""
    plan, training, dataset = summary.run.plan, summary.config.training, summary.config.dataset
    steps, frames = plan.get("steps_total"), plan.get("train_frames")
    weighed = dataset.annotations == "fine+coarse" and (dataset.fine_weight, dataset.coarse_weight) != (1.0, 1.0)
    if training.minutes == 0 or not steps or not frames or weighed or dataset.unlabelled:
        return None
    epochs = round((steps - 0.5) * training.batch_size / frames, 4)
    return epochs if max(1, math.ceil(epochs * frames / training.batch_size)) == steps else None


def _report_line(data: ReportData) -> str:
    settings = data.settings
    arguments = ["python", "-m", "core", "report", *settings.runs, "--out", "report"]
    for name in ("title", "author", "course"):
        if getattr(settings, name):
            arguments += [f"--{name}", getattr(settings, name)]
    arguments += ["--sections", *settings.sections]
    if settings.pictures is not None:
        arguments.append("--pictures" if settings.pictures else "--no-pictures")
    if settings.robustness:
        arguments.append("--robustness")
    return shlex.join(arguments)


def _fingerprints(data: ReportData) -> Table:
    def digest(name: str) -> Callable[[RunSummary], Content]:
        return lambda summary: _code(summary.result and getattr(summary.result.metadata, name)[:16])

    columns: tuple[Column, ...] = (
        ("id", lambda summary: _code(summary.run.id), "text"),
        ("seed", lambda summary: summary.number("config.json", "/training/seed"), ""),
        ("learned from", lambda summary: summary.number("plan.json", "/train_frames"), ""),
        ("scored on", lambda summary: summary.number("plan.json", "/val_frames"), ""),
        ("data", digest("data"), "text"),
        ("weights", digest("weights"), "text"),
        ("classes", lambda summary: _code(summary.run.plan.get("space")), "text"),
    )
    caption = text(
        "What was trained on what. The fingerprint of the data follows from the names and contents of the scored frames"
        " and is the same on every machine; that of the weights from the scored checkpoint; that of the classes from"
        " their table. First 16 digits."
    )
    return table_of_runs("fingerprints", caption, "run", data.summaries, columns)


def _code(content: str | None) -> Content:
    return (Code(content),) if content else None


def _versions(data: ReportData) -> Table:
    items = list(data.versions.items())
    half = -(-len(items) // 2)
    rows = tuple(cells(*left, *right) for left, right in zip_longest(items[:half], items[half:], fillvalue=("", "")))
    caption = ("Versions, as installed where this report was written. Runs don't record theirs.",)
    return Table("versions", caption, ("program", "version", "program", "version"), rows, text_columns=(1, 2, 3))

"""Reproduction: commands that make the runs again, seeds, versions, fingerprints of data and weights, and the files of the numbers."""

import math
import shlex

from core.config import RunConfig
from core.report.phrases import cell, note, paragraph, text, text_cell
from core.report.report_data import ReportData, RunSummary
from core.report.structure import Block, Cell, Code, Commands, Section, Table


def reproduction(data: ReportData) -> list[Section]:
    """Return the section."""
    summaries = data.summaries
    blocks: list[Block] = [
        paragraph("These commands train the runs again; every setting that they don't name has its default."),
        Commands(tuple(line for summary in summaries for line in _train_lines(summary))),
        *_budgets(summaries),
        paragraph(
            "These score them, and write this report; ", Code("RUN"), " stands for the id that the training prints."
        ),
        Commands(("python -m core score RUN", _report_line(data))),
        *_fingerprints(data),
        _versions(data),
    ]
    if data.commit:
        blocks.append(paragraph("The lab is at commit ", Code(data.commit.split()[0]), _changes(data), "."))
    blocks.append(
        note(
            "Every number of this document names its source in its file: in the page as the attribute data-source, in the LaTeX source in "
            "the tables' .csv files. A source is a file of the run's folder and a place in it."
        )
    )
    return [Section("reproduction", "Reproduction", tuple(blocks))]


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


def _budgets(summaries: tuple[RunSummary, ...]) -> list[Block]:
    """Return a budget in minutes is a different number of steps elsewhere: the epochs that make the same number."""
    lines = []
    for summary in summaries:
        epochs = same_epochs(summary)
        if epochs:
            training = summary.config.training.model_copy(update={"minutes": 0.0, "epochs": epochs})
            lines += [f"# {summary.label}", train_command(summary.config.model_copy(update={"training": training}))]
    if not lines:
        return []
    sentence = paragraph(
        "A length in minutes becomes a number of steps on the machine that trains. The same number of steps on any machine:"
    )
    return [sentence, Commands(tuple(lines))]


def same_epochs(summary: RunSummary) -> float | None:
    """Return epochs with which a run that was given minutes has as many steps; None where that can't be had."""
    plan, training, dataset = summary.run.plan, summary.config.training, summary.config.dataset
    steps, frames = plan.get("steps_total"), plan.get("train_frames")
    weighed = dataset.annotations == "fine+coarse" and (dataset.fine_weight, dataset.coarse_weight) != (1.0, 1.0)
    if training.minutes == 0 or not steps or not frames or weighed:
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


def _fingerprints(data: ReportData) -> list[Block]:
    rows = []
    for summary in data.summaries:
        metadata = summary.result.metadata if summary.result else None
        rows.append(
            (
                Cell((summary.label,)),
                Cell((Code(summary.run.id),)),
                cell(summary.number("config.json", "/training/seed")),
                cell(summary.number("plan.json", "/train_frames")),
                cell(summary.number("plan.json", "/val_frames")),
                Cell((Code(metadata.data[:16]),)) if metadata else text_cell("–"),
                Cell((Code(metadata.weights[:16]),)) if metadata else text_cell("–"),
                Cell((Code(summary.run.plan["space"]),)) if summary.run.plan.get("space") else text_cell("–"),
            )
        )
    caption = text(
        "What was trained on what. The fingerprint of the data follows from the names and contents of the scored frames and is the same on "
        "every machine; that of the weights from the scored checkpoint; that of the classes from their table. First 16 digits."
    )
    heads = ("run", "id", "seed", "learned from", "scored on", "data", "weights", "classes")
    return [Table("fingerprints", caption, heads, tuple(rows), text_columns=(1, 5, 6, 7))]


def _versions(data: ReportData) -> Table:
    items = list(data.versions.items())
    half = -(-len(items) // 2)
    rows = []
    for index in range(half):
        pair = [items[index], items[index + half] if index + half < len(items) else ("", "")]
        rows.append(tuple(text_cell(part) for item in pair for part in item))
    caption = ("Versions, as installed where this report was written. Runs don't record theirs.",)
    return Table("versions", caption, ("program", "version", "program", "version"), tuple(rows), text_columns=(1, 2, 3))


def _changes(data: ReportData) -> str:
    return ", with changes that are not committed" if data.commit.endswith("and changes") else ""

"""Reproduction: commands that make the runs again, seeds, versions, fingerprints of data and weights, and the files of the numbers."""

import math
import shlex

from core.config import RunConfig
from core.report.phrases import cell, note, paragraph, text, words_cell
from core.report.report_data import Material, Subject
from core.report.structure import Block, Cell, Code, Commands, Section, Table


def reproduction(material: Material) -> list[Section]:
    """The section."""
    subjects = material.subjects
    blocks: list[Block] = [
        paragraph("These commands train the runs again; every setting that they don't name has its default."),
        Commands(tuple(line for subject in subjects for line in _train_lines(subject))),
        *_budgets(subjects),
        paragraph(
            "These score them, and write this report; ", Code("RUN"), " stands for the id that the training prints."
        ),
        Commands(("python -m core score RUN", _report_line(material))),
        *_fingerprints(material),
        _versions(material),
    ]
    if material.commit:
        blocks.append(paragraph("The lab is at commit ", Code(material.commit.split()[0]), _changes(material), "."))
    blocks.append(
        note(
            "Every number of this document names its source in its file: in the page as the attribute data-source, in the LaTeX source in "
            "the tables' .csv files. A source is a file of the run's folder and a place in it."
        )
    )
    return [Section("reproduction", "Reproduction", tuple(blocks))]


def train_command(config: RunConfig) -> str:
    """The command that trains a run of this config, each setting that differs from its default named."""
    words = ["python", "-m", "core", "train"]
    for part, detail in RunConfig.model_fields.items():
        for name, field in detail.annotation.model_fields.items():
            value = getattr(getattr(config, part), name)
            if value == field.default:
                continue
            if isinstance(value, bool):
                words.append(f"--{'' if value else 'no-'}{part}.{name}")
            else:
                words += [f"--{part}.{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


def _train_lines(subject: Subject) -> list[str]:
    label = "".join(letter for letter in subject.label if letter.isprintable())
    return [f"# {label}, run {subject.run.id}", train_command(subject.config)]


def _budgets(subjects: tuple[Subject, ...]) -> list[Block]:
    """A budget in minutes is a different number of steps elsewhere: the epochs that make the same number."""
    lines = []
    for subject in subjects:
        epochs = same_epochs(subject)
        if epochs:
            training = subject.config.training.model_copy(update={"minutes": 0.0, "epochs": epochs})
            lines += [f"# {subject.label}", train_command(subject.config.model_copy(update={"training": training}))]
    if not lines:
        return []
    words = paragraph(
        "A length in minutes becomes a number of steps on the machine that trains. The same number of steps on any machine:"
    )
    return [words, Commands(tuple(lines))]


def same_epochs(subject: Subject) -> float | None:
    """Epochs with which a run that was given minutes has as many steps; None where that can't be had."""
    plan, training, dataset = subject.run.plan, subject.config.training, subject.config.dataset
    steps, frames = plan.get("steps_total"), plan.get("train_frames")
    weighed = dataset.annotations == "fine+coarse" and (dataset.fine_weight, dataset.coarse_weight) != (1.0, 1.0)
    if training.minutes == 0 or not steps or not frames or weighed:
        return None
    epochs = round((steps - 0.5) * training.batch_size / frames, 4)
    return epochs if max(1, math.ceil(epochs * frames / training.batch_size)) == steps else None


def _report_line(material: Material) -> str:
    settings = material.settings
    words = ["python", "-m", "core", "report", *settings.runs, "--out", "report"]
    for name in ("title", "author", "course"):
        if getattr(settings, name):
            words += [f"--{name}", getattr(settings, name)]
    words += ["--sections", *settings.sections]
    if settings.pictures is not None:
        words.append("--pictures" if settings.pictures else "--no-pictures")
    if settings.robustness:
        words.append("--robustness")
    return shlex.join(words)


def _fingerprints(material: Material) -> list[Block]:
    rows = []
    for subject in material.subjects:
        facts = subject.card.facts if subject.card else None
        rows.append(
            (
                Cell((subject.label,)),
                Cell((Code(subject.run.id),)),
                cell(subject.number("config.json", "/training/seed")),
                cell(subject.number("plan.json", "/train_frames")),
                cell(subject.number("plan.json", "/val_frames")),
                Cell((Code(facts.data[:16]),)) if facts else words_cell("–"),
                Cell((Code(facts.weights[:16]),)) if facts else words_cell("–"),
                Cell((Code(subject.run.plan["space"]),)) if subject.run.plan.get("space") else words_cell("–"),
            )
        )
    caption = text(
        "What was trained on what. The fingerprint of the data follows from the names and contents of the scored frames and is the same on "
        "every machine; that of the weights from the scored checkpoint; that of the classes from their table. First 16 digits."
    )
    heads = ("run", "id", "seed", "learned from", "scored on", "data", "weights", "classes")
    return [Table("fingerprints", caption, heads, tuple(rows), words=(1, 5, 6, 7))]


def _versions(material: Material) -> Table:
    items = list(material.versions.items())
    half = -(-len(items) // 2)
    rows = []
    for place in range(half):
        pair = [items[place], items[place + half] if place + half < len(items) else ("", "")]
        rows.append(tuple(words_cell(word) for item in pair for word in item))
    caption = ("Versions, as installed where this report was written. Runs don't record theirs.",)
    return Table("versions", caption, ("program", "version", "program", "version"), tuple(rows), words=(1, 2, 3))


def _changes(material: Material) -> str:
    return ", with changes that are not committed" if material.commit.endswith("and changes") else ""

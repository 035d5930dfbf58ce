"""Methodology: what was done to train and to score, with every value that was really used and none that wasn't."""

from collections.abc import Iterator

from core.config import all_fields, fields_of, setting_of, todays_name
from core.evaluation.bootstrap import ENOUGH
from core.models.encoder_table import ENCODER_BY_NAME
from core.report.phrases import (
    Column,
    by_value,
    cells,
    cite,
    columns_of,
    derived,
    joined,
    note,
    paragraph,
    plain_text,
    sentences_by_value,
    setting_text,
    settings_text,
    table_of_runs,
    text,
)
from core.report.report_data import COUNT, NumberFormat, ReportData, RunSummary
from core.report.structure import Block, Number, Part, Section, Table, Text
from core.sweeps import Sweep
from core.sweeps.space import Range
from core.text import join_items
from core.training.schedule import encoder_lr_scale
from core.training.tables import CLASS_WEIGHTINGS, LOSSES, OPTIMIZERS, SCHEDULES, Entry

Summaries = tuple[RunSummary, ...]
MINUTES = NumberFormat(1, 1)
SECONDS_AS_MINUTES = NumberFormat(1 / 60, 1)


def methodology(data: ReportData) -> list[Section]:
    """Return the section."""
    summaries = data.summaries
    texts = (_crops, _loss, _optimizer, _start, _hardware)
    blocks: tuple[Block, ...] = (
        _runs(summaries),
        *_unfinished(summaries),
        *(paragraph(write(summaries)) for write in texts),
        *(paragraph(_sweep(sweep)) for sweep in data.sweeps),
        paragraph(_scoring(data)),
        *_settings(summaries),
    )
    return [Section("methodology", "Methodology", blocks)]


def _runs(summaries: Summaries) -> Table:
    caption = ("The runs: how each stands, and how long it was trained, in minutes by the clock, scoring included.",)
    columns: tuple[Column, ...] = (
        ("network", lambda summary: summary.config.model.title, "text"),
        ("state", lambda summary: summary.state_text, "text"),
        ("steps", steps_done, ""),
        ("planned", lambda summary: summary.number("plan.json", "/steps_total"), ""),
        ("minutes", minutes_of, ""),
        ("seed", lambda summary: summary.number("config.json", "/training/seed"), ""),
    )
    return table_of_runs("runs", caption, "run", summaries, columns)


def steps_done(summary: RunSummary) -> Number | None:
    """Return steps by the last row that the trainer wrote, which a killed run's status may not know."""
    rows = max(("train", "eval"), key=lambda kind: summary.read(kind, "/-1/step") or 0)
    return summary.number(rows, f"/{len(summary.files.get(rows, [])) - 1}/step")


def minutes_of(summary: RunSummary) -> Number | None:
    """Return minutes of training, breaks not counted; by the clock of the status where the rows don't say."""
    for kind in ("train", "eval"):
        number = summary.number(kind, f"/{len(summary.files.get(kind, [])) - 1}/minutes", MINUTES)
        if number:
            return number
    status = summary.run.status
    if status.started and status.ended:
        return derived(status.ended - status.started, SECONDS_AS_MINUTES, f"duration {summary.run.id}/status.json")
    return None


def _unfinished(summaries: Summaries) -> Iterator[Block]:
    """Say what has to be known of runs that have not come to their end."""
    sentence = {
        "queued": "has not begun to train",
        "running": "was still training when this was written",
        "paused": "is paused",
        "stopped": "was stopped before its end",
        "lost": "stopped unexpectedly: its process is gone",
        "failed": "failed",
    }
    for summary in summaries:
        if summary.run.state == "finished":
            continue
        error = summary.run.status.error or ""
        done, planned = steps_done(summary), summary.number("plan.json", "/steps_total")
        yield note(
            f"{summary.label} {sentence[summary.run.state]}",
            text(", after ", done, " of ", planned, " steps") if done and planned else (),
            f": {error}" if error and summary.run.state == "failed" else ".",
        )


def _clause(summaries: Summaries, users: Summaries, *parts: Part | Text | None, end: str = "") -> Text:
    """Return what is true of some runs, their names behind it where it isn't of all; nothing where it is of none."""
    if not users:
        return ()
    names = "" if len(users) == len(summaries) else f" ({', '.join(summary.label for summary in users)})"
    return text(*parts, names, end)


def _if_used(
    summaries: Summaries, name: str, before: str | Text, after: str | Text = "", end: str = "", part: str = "training"
) -> Text:
    """Return a clause with the value of a setting, between two texts, for the runs that use it."""
    users = _that_use(summaries, name, part)
    return _clause(summaries, users, before, settings_text(users, name, part), after, end=end)


def _that_use(summaries: Summaries, name: str, part: str = "training") -> Summaries:
    """Return the runs in which a setting has a say."""
    return tuple(summary for summary in summaries if (part, name) in summary.used_settings)


def _crops(summaries: Summaries) -> Text:
    flipped = tuple(summary for summary in summaries if summary.config.training.flip)
    return text(
        "A batch has ", settings_text(summaries, "batch_size"), " crops of ", settings_text(summaries, "crop_width"),
        " × ", settings_text(summaries, "crop_height"), " pixels, each enlarged by a random factor of ",
        settings_text(summaries, "scale_min"), " to ", settings_text(summaries, "scale_max"),
        _clause(summaries, flipped, ", half of them mirrored left to right"),
        _clause(summaries, _that_use(summaries, "vertical_flip"), ", half of them mirrored top to bottom"),
        _clause(summaries, _that_use(summaries, "rotate90"), ", turned by 0, 90, 180 or 270 degrees"),
        _if_used(summaries, "color_jitter", ", with brightness, contrast and saturation varied by up to this share: "),
        _if_used(summaries, "rotation", ", turned by up to ", " degrees"),
        _if_used(summaries, "elastic", ", bent by random displacements with a standard deviation of ", " pixels"),
        _if_used(summaries, "blur", ", blurred with a probability of "),
        _if_used(summaries, "rare_crops", ", centred on a rare class with a probability of "),
        _if_used(summaries, "copy_paste", ", one class of another crop pasted in with a probability of "),
        ".",
        _if_used(summaries, "accumulate_grad_batches", " The gradients of ", " such batches make a step", "."),
        _if_used(summaries, "test_scale", " To be scored and predicted, frames are enlarged by ", "."),
        _if_used(summaries, "max_train_samples", " Only ", " of the training frames were learned from", ".", "dataset"),
    )  # fmt: skip


def _named(table: dict[str, Entry], summaries: Summaries, name: str) -> Text:
    def described(summary: RunSummary) -> Text:
        entry = table[getattr(summary.config.training, name)]
        return text(entry.title, cite(entry.paper) if entry.paper else ())

    return by_value(summaries, described)


def _loss(summaries: Summaries) -> Text:
    added, weighed = (_that_use(summaries, name) for name in ("second_loss", "class_weights"))
    # What the lab called median frequency until version 0.2.
    over_all = tuple(
        summary
        for summary in weighed
        if summary.config.training.class_weights == "median" and summary.run.plan.get("rules", 1) == 1
    )
    smoothed = text(" Labels are smoothed", cite("szegedy2016inception"), " by ")
    return text(
        "The loss is ", _named(LOSSES, summaries, "loss"),
        _clause(
            summaries, added, ", plus ", settings_text(added, "second_loss_weight"), " times ", _named(LOSSES, added, "second_loss")
        ),
        _clause(summaries, weighed, "; classes are weighed by ", _named(CLASS_WEIGHTINGS, weighed, "class_weights")),
        _clause(summaries, over_all, ", its frequencies taken over all frames"),
        ".",
        _if_used(summaries, "label_smoothing", smoothed, end="."),
    )  # fmt: skip


def _optimizer(summaries: Summaries) -> Text:
    scales = {summary.label: _chosen_scale(summary) for summary in summaries}
    slowed = [
        _clause(
            summaries,
            tuple(summary for summary in summaries if scales[summary.label] == scale),
            f"; the pretrained encoder learns at {scale:g} of it",
        )
        for scale in sorted(set(scales.values()) - {1.0})
    ]
    above = text(" of the rate of what stands above it", cite("bao2022beit"))
    return text(
        "The optimizer is ", _named(OPTIMIZERS, summaries, "optimizer"), ", with a weight decay of ",
        settings_text(summaries, "weight_decay"),
        _if_used(summaries, "momentum", " and a momentum of "),
        _if_used(summaries, "grad_clip_norm", "; gradients longer than ", " are shortened"),
        ". The learning rate is at most ", settings_text(summaries, "learning_rate"), " and ",
        _named(SCHEDULES, summaries, "schedule"),
        _if_used(summaries, "warmup_fraction", ", after it has climbed over this share of the steps: "),
        _if_used(summaries, "encoder_lr_scale", "; the encoder learns at ", " of it"),
        *slowed,
        _if_used(summaries, "layer_decay", "; each block of a ViT learns at ", above),
        ".",
        _if_used(summaries, "ema", " A moving mean of the weights is what is scored, of which each step keeps ", end="."),
    )  # fmt: skip


def _chosen_scale(summary: RunSummary) -> float:
    """Return the share of the rate at which a pretrained encoder learns where none is asked for, else 1."""
    config, plan = summary.config, summary.run.plan
    if config.training.encoder_lr_scale or config.model.freeze == 1:
        return 1.0
    return encoder_lr_scale(config, bool(plan.get("pretrained")), plan.get("rules", 1))


def _start(summaries: Summaries) -> Text:
    """First weights, and the length of the training."""
    planned = [summary for summary in summaries if summary.run.plan.get("weights")]
    on_imagenet = tuple(summary for summary in planned if _began_on_imagenet(summary))
    parts: list[Part | Text | None] = []
    if planned:
        parts += [sentences_by_value(planned, lambda summary: (summary.run.plan["weights"].rstrip("."),))]
    weights = text("The encoder's weights were learned on ImageNet", cite("deng2009imagenet"))
    parts += [_clause(summaries, on_imagenet, weights, end=". ")]
    parts += [
        _if_used(
            summaries, "minutes", "The length of the training was given in minutes (",
            "): the speed was measured first, and the number of steps fixed before the first one", ". ",
        ),
        _if_used(summaries, "epochs", "The length of the training was set to ", " passes through the training frames", ". "),
    ]  # fmt: skip
    early = _that_use(summaries, "patience")
    if early:
        parts += [
            "A run stops early when ", settings_text(early, "patience"), " evaluations have brought nothing better. "
        ]  # fmt: skip
    for summary in summaries:
        taken, meant = steps_done(summary), summary.number("plan.json", "/steps_total")
        if summary.run.state == "finished" and taken and meant and taken.value < meant.value:
            parts += [f"{summary.label} stopped early, after ", taken, " of ", meant, " steps. "]
    return text(
        *parts, "Each run was scored ", by_value(summaries, _evaluations),
        " times during its training; the weights of the highest validation mean IoU are the ones that are reported.",
    )  # fmt: skip


def _began_on_imagenet(summary: RunSummary) -> bool:
    """Return whether the weights came from the repository that the lab's table names, and were learned on ImageNet.

    Of any other file or encoder it isn't known what it has learned from.
    """
    encoder = ENCODER_BY_NAME.get(summary.config.model.encoder_name)
    repo = encoder.hub_repo if encoder else None
    plan = summary.run.plan
    return bool(plan.get("pretrained") and repo and repo.endswith("in1k") and f"{repo} " in plan.get("weights", ""))


def _evaluations(summary: RunSummary) -> Text:
    return (derived(len(summary.files["eval"]), COUNT, f"count {summary.run.id}/eval:"),)


def _hardware(summaries: Summaries) -> Text:
    planned = [summary for summary in summaries if summary.run.plan.get("hardware")]
    parts: list[Part | Text | None] = []
    if planned:
        parts += [
            "Trained with PyTorch", cite("paszke2019pytorch"), " and encoders of timm", cite("wightman2019timm"), ". ",
            sentences_by_value(planned, lambda summary: (summary.run.plan["hardware"].rstrip("."),)),
        ]  # fmt: skip
    return text(
        *parts, _if_used(summaries, "num_processes", "", " processes trained together", ". "),
        "Every random choice follows from the seed: ", settings_text(summaries, "seed"), ".",
    )  # fmt: skip


def _sweep(sweep: Sweep) -> Text:
    spec = sweep.spec
    varied = [
        text(f"{_title(name)} ", f"from {choice.low:g} to {choice.high:g}" if isinstance(choice, Range) else f"of {join_items([str(value) for value in choice], 'or')}")
        for name, choice in spec.vary.items()
    ]  # fmt: skip
    ways = {
        "grid": "all combinations",
        "random": "random choices",
        "halving": "by successive halving",
        "tpe": "choices by TPE",
    }
    return text(
        f"Some of the runs come from the sweep {sweep.id}, which tried {ways[spec.method]} with Optuna",
        cite("akiba2019optuna"), ", varying ", joined(varied),
        f": {spec.count} trials. The best of many trials on the frames that they are scored on looks better than it is.",
    )  # fmt: skip


def _title(name: str) -> str:
    """Return what the form calls a setting, in the midst of a sentence."""
    setting = setting_of(*todays_name(name).split(".", 1))
    is_plain = setting.title[1:2].islower()
    return f"{setting.title[:1].lower()}{setting.title[1:]}" if is_plain else setting.title


def _scoring(data: ReportData) -> Text:
    evaluated = [summary for summary in data.summaries if summary.result]
    if not evaluated:
        return (
            "Runs are scored by mean intersection over union (IoU) on the validation frames during their training.",
        )
    parts: list[Part | Text | None] = [
        "The main score is the mean over the classes of intersection over union (IoU), counted over all frames together, as the "
        "Cityscapes benchmark does", cite("cordts2016cityscapes"), ". ", sentences_by_value(evaluated, _protocol),
        "Boundary F1 is that of Csurka et al.", cite("csurka2013measure"), ": in each frame the mean over the classes whose outlines "
        "the truth shows there, then the mean over the frames; a class that is missed counts 0, and stray pixels of a class that a "
        "frame doesn't show count only where they break the outlines of others; the calibration error weighs the distance between confidence and accuracy by pixels", cite("guo2017calibration"), ". ",
    ]  # fmt: skip
    if any(group.comparisons for group in data.groups):
        parts += [
            "Two runs are compared by a paired bootstrap", cite("efron1979bootstrap"),
            ": frames are drawn with replacement, the same ones for both, 2,000 times; a difference is called certain where the "
            f"95 % interval doesn't hold 0, on {ENOUGH} frames or more. ",
        ]  # fmt: skip
    if any(each.blocks for group in data.groups for each in group.comparisons.values()):
        parts += [
            "Frames whose names count on are taken for neighbours in a video: where they influence the difference alike, they are "
            "drawn in blocks", cite("carlstein1986subseries"), " as long as Andrews' rule has it", cite("andrews1991covariance"), ". ",
        ]  # fmt: skip
    if any(summary.robustness for summary in evaluated):
        parts += [
            "Robustness is measured in the manner of Hendrycks and Dietterich", cite("hendrycks2019robustness"),
            ", with lengths, grains of noise and blocks of JPEG as shares of a picture's height."
        ]  # fmt: skip
    return text(*parts)


def _protocol(summary: RunSummary) -> Text:
    return text(
        "Scored are ", summary.score("/metadata/frames", COUNT), " frames at ", summary.score("/metadata/size/1", COUNT), " × ",
        summary.score("/metadata/size/0", COUNT), f" pixels: {summary.result.metadata.settings.description}",
    )  # fmt: skip


def _settings(summaries: Summaries) -> Iterator[Block]:
    """Yield every setting that was used: one column where all runs agree, a table of differences where they don't."""
    common, differing = [], []
    for part, name in all_fields():
        users = _that_use(summaries, name, part)
        values = {summary.run.id: setting_text(summary, part, name) for summary in users}
        setting = setting_of(part, name)
        head = f"{setting.title}, {setting.unit}" if setting.unit else setting.title
        if len(users) == len(summaries) and len({plain_text(value) for value in values.values()}) == 1:
            common.append(cells(head, values[users[0].run.id], fields_of(part)[name].description or ""))
        elif users:
            differing.append(cells(head, *(values.get(summary.run.id) for summary in summaries)))
    if differing:
        caption = ("Settings in which the runs differ; a dash where a run has no such setting.",)
        yield Table("differences", caption, ("setting", *columns_of(summaries)), tuple(differing))
    if common:
        who = "of the run" if len(summaries) == 1 else "that all runs share"
        caption = (f"Settings {who}; what was switched off is left out.",)
        yield Table("settings", caption, ("setting", "value", "what it means"), tuple(common), text_columns=(2,))

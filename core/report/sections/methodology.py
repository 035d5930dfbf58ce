"""Methodology: what was done to train and to score, with every value that was really used and none that wasn't."""

from collections.abc import Callable

from core.config import all_fields, fields_of, setting_of, used_settings
from core.evaluation.bootstrap import ENOUGH
from core.report.phrases import (
    DASH,
    by_value,
    cell,
    cite,
    columns_of,
    derived,
    joined,
    note,
    paragraph,
    plain_text,
    setting_text,
    settings_text,
    text,
    text_cell,
)
from core.report.report_data import COUNT, NumberFormat, ReportData, RunSummary
from core.report.structure import Block, Cell, Number, Part, Section, Table, Text
from core.sweeps import Sweep
from core.sweeps.space import Range
from core.text import join_words
from core.training.schedule import PRETRAINED_VIT
from core.training.tables import CLASS_WEIGHTINGS, LOSSES, OPTIMIZERS, SCHEDULES, Entry

MINUTES = NumberFormat(1, 1)
SECONDS_AS_MINUTES = NumberFormat(1 / 60, 1)


def methodology(data: ReportData) -> list[Section]:
    """Return the section."""
    summaries = data.summaries
    blocks: list[Block] = [_runs(summaries)]
    blocks += _unfinished(summaries)
    blocks += [
        paragraph(_crops(summaries)),
        paragraph(_loss(summaries)),
        paragraph(_optimizer(summaries)),
        paragraph(_start(summaries)),
        paragraph(_hardware(summaries, data)),
        *(paragraph(_sweep(sweep)) for sweep in data.sweeps),
        paragraph(_scoring(data)),
        *_settings(summaries),
    ]
    return [Section("methodology", "Methodology", tuple(blocks))]


def _runs(summaries: tuple[RunSummary, ...]) -> Table:
    rows = []
    for summary in summaries:
        rows.append(
            (
                Cell((summary.label,)),
                text_cell(summary.config.model.title),
                text_cell(summary.state_text),
                cell(steps_done(summary)),
                cell(summary.number("plan.json", "/steps_total")),
                cell(minutes_of(summary)),
                cell(summary.number("config.json", "/training/seed")),
            )
        )
    caption = ("The runs: how each stands, and how long it was trained, in minutes by the clock, scoring included.",)
    heads = ("run", "network", "state", "steps", "planned", "minutes", "seed")
    return Table("runs", caption, heads, tuple(rows), text_columns=(1, 2))


def steps_done(summary: RunSummary) -> Number | None:
    """Return steps by the last row that the trainer wrote, which a killed run's status may not know."""
    rows = max(("train", "eval"), key=lambda kind: summary.read(kind, "/-1/step") or 0)
    count = len(summary.files.get(rows, []))
    return summary.number(rows, f"/{count - 1}/step") if count else None


def minutes_of(summary: RunSummary) -> Number | None:
    """Return minutes of training, breaks not counted; by the clock of the status where the rows don't say."""
    for kind in ("train", "eval"):
        count = len(summary.files.get(kind, []))
        number = summary.number(kind, f"/{count - 1}/minutes", MINUTES) if count else None
        if number:
            return number
    status = summary.run.status
    if status.started and status.ended:
        return derived(status.ended - status.started, SECONDS_AS_MINUTES, f"duration {summary.run.id}/status.json")
    return None


def _unfinished(summaries: tuple[RunSummary, ...]) -> list[Block]:
    """Return what has to be known of runs that have not come to their end."""
    results: list[Block] = []
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
        parts: list[Part | Text | None] = [f"{summary.label} {sentence[summary.run.state]}"]
        done, planned = steps_done(summary), summary.number("plan.json", "/steps_total")
        if done and planned:
            parts += [", after ", done, " of ", planned, " steps"]
        parts.append(f": {error}" if error and summary.run.state == "failed" else ".")
        results.append(note(*parts))
    return results


def _crops(summaries: tuple[RunSummary, ...]) -> Text:
    def value_text(name: str) -> Text:
        return settings_text(summaries, "training", name)

    parts: list[Part | Text | None] = [
        "A batch has ", value_text("batch_size"), " crops of ", value_text("crop_width"), " × ", value_text("crop_height"),
        " pixels, each enlarged by a random factor of ", value_text("scale_min"), " to ", value_text("scale_max"),
    ]  # fmt: skip
    if any(summary.config.training.flip for summary in summaries):
        parts += [
            ", half of them mirrored left to right",
            _only(summaries, lambda summary: summary.config.training.flip),
        ]
    optional = (
        ("color_jitter", ", with brightness, contrast and saturation varied by up to this share: ", ""),
        ("rotation", ", turned by up to ", " degrees"),
        ("blur", ", blurred with a probability of ", ""),
        ("rare_crops", ", centred on a rare class with a probability of ", ""),
    )
    for name, before, after in optional:
        users = [summary for summary in summaries if getattr(summary.config.training, name) > 0]
        if users:
            parts += [
                before,
                settings_text(users, "training", name),
                after,
                _only(summaries, users.__contains__),
            ]
    parts.append(".")
    split = [summary for summary in summaries if summary.config.training.accumulate_grad_batches > 1]
    if split:
        parts += [
            " The gradients of ",
            settings_text(split, "training", "accumulate_grad_batches"),
            " such batches make a step",
            _only(summaries, lambda summary: summary in split),
            ".",
        ]
    limited = [summary for summary in summaries if summary.config.dataset.max_train_samples > 0]
    if limited:
        parts += [" Only ", settings_text(limited, "dataset", "max_train_samples"), " of the training frames were learned from", _only(summaries, lambda summary: summary in limited), "."]  # fmt: skip
    return text(*parts)


def _only(summaries: tuple[RunSummary, ...], applies: Callable[[RunSummary], bool]) -> str:
    """In brackets who something is true of, where it isn't of all."""
    users = [summary.label for summary in summaries if applies(summary)]
    return "" if len(users) == len(summaries) else f" ({', '.join(users)})"


def _named(table: dict[str, Entry], summaries: tuple[RunSummary, ...], name: str) -> Text:
    def described(summary: RunSummary) -> Text:
        entry = table[getattr(summary.config.training, name)]
        return text(entry.title, cite(entry.paper) if entry.paper else ())

    return by_value(summaries, described)


def _loss(summaries: tuple[RunSummary, ...]) -> Text:
    parts: list[Part | Text | None] = ["The loss is ", _named(LOSSES, summaries, "loss")]
    added = tuple(summary for summary in summaries if summary.config.training.second_loss != "none")
    if added:
        parts += [
            ", plus ", settings_text(added, "training", "second_loss_weight"), " times ", _named(LOSSES, added, "second_loss"),
            _only(summaries, lambda summary: summary in added),
        ]  # fmt: skip
    weighed = tuple(summary for summary in summaries if ("training", "class_weights") in used_settings(summary.config))
    if weighed:
        parts += ["; classes are weighed by ", _named(CLASS_WEIGHTINGS, weighed, "class_weights"), _only(summaries, lambda summary: summary in weighed)]  # fmt: skip
    parts.append(".")
    smoothed = tuple(
        summary for summary in summaries if ("training", "label_smoothing") in used_settings(summary.config)
    )
    if smoothed:
        parts += [
            " Labels are smoothed", cite("szegedy2016inception"), " by ",
            settings_text(smoothed, "training", "label_smoothing"), _only(summaries, lambda summary: summary in smoothed), ".",
        ]  # fmt: skip
    return text(*parts)


def _optimizer(summaries: tuple[RunSummary, ...]) -> Text:
    parts: list[Part | Text | None] = [
        "The optimizer is ", _named(OPTIMIZERS, summaries, "optimizer"), ", with a weight decay of ",
        settings_text(summaries, "training", "weight_decay"),
    ]  # fmt: skip
    momentum = [summary for summary in summaries if ("training", "momentum") in used_settings(summary.config)]
    if momentum:
        parts += [" and a momentum of ", settings_text(momentum, "training", "momentum")]
    clipped = [summary for summary in summaries if summary.config.training.grad_clip_norm > 0]
    if clipped:
        parts += ["; gradients longer than ", settings_text(clipped, "training", "grad_clip_norm"), " are shortened", _only(summaries, lambda summary: summary in clipped)]  # fmt: skip
    parts += [
        ". The learning rate is at most ", settings_text(summaries, "training", "learning_rate"), " and ",
        _named(SCHEDULES, summaries, "schedule"),
    ]  # fmt: skip
    warm = [summary for summary in summaries if ("training", "warmup_fraction") in used_settings(summary.config)]
    if warm:
        parts += [
            ", after it has climbed over this share of the steps: ",
            settings_text(warm, "training", "warmup_fraction"),
        ]
    slow = [summary for summary in summaries if ("training", "encoder_lr_scale") in used_settings(summary.config)]
    if slow:
        parts += ["; the encoder learns at ", settings_text(slow, "training", "encoder_lr_scale"), " of it", _only(summaries, lambda summary: summary in slow)]  # fmt: skip
    gentle = [summary for summary in summaries if _is_gentle(summary)]
    if gentle:
        parts.append(
            f"; the pretrained encoder learns at {PRETRAINED_VIT:g} of it{_only(summaries, lambda summary: summary in gentle)}"
        )
    decayed = [summary for summary in summaries if summary.config.training.layer_decay < 1]
    if decayed:
        parts += ["; each block of a ViT learns at ", settings_text(decayed, "training", "layer_decay"), " of the rate of the block above it", cite("bao2022beit")]  # fmt: skip
    parts.append(".")
    averaged = [summary for summary in summaries if summary.config.training.ema > 0]
    if averaged:
        parts += [
            " A moving mean of the weights is what is scored, of which each step keeps ",
            settings_text(averaged, "training", "ema"), _only(summaries, lambda summary: summary in averaged), ".",
        ]  # fmt: skip
    return text(*parts)


def _is_gentle(summary: RunSummary) -> bool:
    """Return a pretrained ViT, whose encoder learns slowly where nothing else is asked for, see core.training.optimizer."""
    config = summary.config
    return (
        config.training.encoder_lr_scale == 0
        and config.model.family == "vit"
        and not config.model.freeze
        and bool(summary.run.plan.get("pretrained"))
    )


def _start(summaries: tuple[RunSummary, ...]) -> Text:
    """First weights, and the length of the training."""
    planned = [summary for summary in summaries if summary.run.plan.get("weights")]
    parts: list[Part | Text | None] = []
    if planned:
        parts.append(by_value(planned, lambda summary: (f"{summary.run.plan['weights'].rstrip('.')}",)))
        parts.append(". ")
    pretrained = {summary.config.model.encoder_name for summary in planned if summary.run.plan.get("pretrained")}
    supervised = [name for name in pretrained if "dino" not in name]
    if supervised:
        parts += ["Weights of encoders other than DINO's were learned on ImageNet", cite("deng2009imagenet"), ". "]
    timed = [summary for summary in summaries if summary.config.training.minutes > 0]
    counted = [summary for summary in summaries if summary.config.training.minutes == 0]
    if timed:
        parts += [
            "The length of the training was given in minutes (", settings_text(timed, "training", "minutes"),
            "): the speed was measured first, and the number of steps fixed before the first one", _only(summaries, lambda summary: summary in timed), ". ",
        ]  # fmt: skip
    if counted:
        parts += [
            "The length of the training was set to ", settings_text(counted, "training", "epochs"), " passes through the training frames",
            _only(summaries, lambda summary: summary in counted), ". ",
        ]  # fmt: skip
    early = [summary for summary in summaries if summary.config.training.stop_early != "never"]
    if early:
        parts += [
            "A run stops early when ",
            settings_text(early, "training", "patience"),
            " evaluations have brought nothing better. ",
        ]
    for summary in summaries:
        taken, meant = steps_done(summary), summary.number("plan.json", "/steps_total")
        if summary.run.state == "finished" and taken and meant and taken.value < meant.value:
            parts += [f"{summary.label} stopped early, after ", taken, " of ", meant, " steps. "]
    parts += [
        "Each run was scored ", by_value(summaries, _evaluations),
        " times during its training; the weights of the highest validation mean IoU are the ones that are reported.",
    ]  # fmt: skip
    return text(*parts)


def _evaluations(summary: RunSummary) -> Text:
    return (derived(len(summary.files["eval"]), COUNT, f"count {summary.run.id}/eval:"),)


def _hardware(summaries: tuple[RunSummary, ...], data: ReportData) -> Text:
    planned = [summary for summary in summaries if summary.run.plan.get("hardware")]
    parts: list[Part | Text | None] = []
    if planned:
        parts += [
            "Trained with PyTorch",
            cite("paszke2019pytorch"),
            " and encoders of timm",
            cite("wightman2019timm"),
            ": ",
        ]
        parts.append(by_value(planned, lambda summary: (summary.run.plan["hardware"].rstrip("."),)))
        parts.append(". ")
    many = [summary for summary in summaries if summary.config.training.num_processes > 1]
    if many:
        parts += [settings_text(many, "training", "num_processes"), " processes trained together", _only(summaries, lambda summary: summary in many), ". "]  # fmt: skip
    parts += ["Every random choice follows from the seed: ", settings_text(summaries, "training", "seed"), "."]
    return text(*parts)


def _sweep(sweep: Sweep) -> Text:
    spec = sweep.spec
    varied = [
        text(f"{name} ", f"from {choice.low:g} to {choice.high:g}" if isinstance(choice, Range) else f"of {join_words([str(value) for value in choice], 'or')}")
        for name, choice in spec.vary.items()
    ]  # fmt: skip
    ways = {
        "grid": "all combinations",
        "random": "random choices",
        "halving": "by successive halving",
        "tpe": "choices by TPE",
    }
    return text(
        f"Some of the runs come from the sweep {sweep.id}, which tried {ways.get(spec.method, spec.method)} with Optuna",
        cite("akiba2019optuna"),
        ", varying ",
        joined(varied),
        f": {spec.count} trials. The best of many trials on the frames that they are scored on looks better than it is.",
    )


def _scoring(data: ReportData) -> Text:
    carded = [summary for summary in data.summaries if summary.result]
    if not carded:
        return (
            "Runs are scored by mean intersection over union (IoU) on the validation frames during their training.",
        )
    parts: list[Part | Text | None] = [
        "The main score is the mean over the classes of intersection over union (IoU), counted over all frames together, as the "
        "Cityscapes benchmark does",
        cite("cordts2016cityscapes"),
        ". ",
        by_value(carded, _protocol),
        ". Boundary F1 is that of Csurka et al.",
        cite("csurka2013measure"),
        "; the calibration error weighs the distance between confidence and accuracy by pixels",
        cite("guo2017calibration"),
        ". ",
    ]
    if any(group.comparisons for group in data.groups):
        parts += [
            "Two runs are compared by a paired bootstrap",
            cite("efron1979bootstrap"),
            ": frames are drawn with replacement, the same ones for both, 2,000 times; a difference is called certain where the "
            f"95 % interval doesn't hold 0, on {ENOUGH} frames or more. ",
        ]
    if any(summary.robustness for summary in carded):
        parts += [
            "Robustness is measured in the manner of Hendrycks and Dietterich",
            cite("hendrycks2019robustness"),
            ".",
        ]
    return text(*parts)


def _protocol(summary: RunSummary) -> Text:
    return text(
        "Scored are ", summary.score("/metadata/frames", NumberFormat()), " frames at ", summary.score("/metadata/size/1", NumberFormat()), " × ",
        summary.score("/metadata/size/0", NumberFormat()), f" pixels: {summary.result.metadata.settings.description}",
    )  # fmt: skip


def _settings(summaries: tuple[RunSummary, ...]) -> list[Block]:
    """Return every setting that was used: one column where all runs agree, a table of differences where they don't."""
    used = {summary.run.id: set(used_settings(summary.config)) for summary in summaries}
    everything = [
        (part, name)
        for part, name in all_fields()
        if any((part, name) in used[summary.run.id] for summary in summaries)
    ]
    common, differing = [], []
    for part, name in everything:
        users = [summary for summary in summaries if (part, name) in used[summary.run.id]]
        alike = len({plain_text(setting_text(summary, part, name)) for summary in users}) == 1
        head = Cell((_title(part, name),))
        if alike and len(users) == len(summaries):
            common.append((head, Cell(setting_text(users[0], part, name)), text_cell(_help(part, name))))
        else:
            cells = [
                Cell(setting_text(summary, part, name)) if summary in users else text_cell(DASH)
                for summary in summaries
            ]
            differing.append((head, *cells))
    blocks: list[Block] = []
    if differing:
        blocks.append(
            Table("differences", ("Settings in which the runs differ; a dash where a run has no such setting.",),
                  ("setting", *columns_of(summaries)), tuple(differing))
        )  # fmt: skip
    if common:
        who = "of the run" if len(summaries) == 1 else "that all runs share"
        blocks.append(
            Table("settings", (f"Settings {who}; what was switched off is left out.",), ("setting", "value", "what it means"), tuple(common), text_columns=(2,))
        )  # fmt: skip
    return blocks


def _title(part: str, name: str) -> str:
    setting = setting_of(part, name)
    return f"{setting.title}, {setting.unit}" if setting.unit else setting.title


def _help(part: str, name: str) -> str:
    return fields_of(part)[name].description or ""

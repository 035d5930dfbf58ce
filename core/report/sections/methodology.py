"""Methodology: what was done to train and to score, with every value that was really used and none that wasn't."""

from collections.abc import Callable

from core.config import RunConfig
from core.report.material import COUNT, Form, Material, Subject, listed
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
    plain_words,
    said_of_all,
    setting_words,
    text,
    words_cell,
)
from core.report.structure import Block, Cell, Number, Part, Section, Table, Text
from core.report.used import used_settings
from core.scoring.bootstrap import ENOUGH
from core.sweeps import Sweep
from core.sweeps.space import Range
from core.training.schedule import PRETRAINED_VIT

MINUTES = Form(1, 1)
SECONDS_AS_MINUTES = Form(1 / 60, 1)

LOSSES = {
    "cross-entropy": ("cross-entropy", ""),
    "focal": ("the focal loss", "lin2017focal"),
    "ohem": ("cross-entropy of the hardest pixels", "shrivastava2016ohem"),
    "dice": ("the Dice loss", "milletari2016vnet"),
    "jaccard": ("the Jaccard loss", ""),
    "lovasz": ("the Lovász-softmax loss", "berman2018lovasz"),
}
WEIGHTS = {
    "sqrt": ("one over the square root of the class's share of the training pixels", ""),
    "median": ("median frequency balancing", "eigen2015predicting"),
    "enet": ("one over the logarithm of 1.02 plus the class's share", "paszke2016enet"),
    "none": ("no weights", ""),
}
OPTIMIZERS = {
    "adamw": ("AdamW", "loshchilov2019adamw"),
    "adam": ("Adam", "kingma2015adam"),
    "adamax": ("Adamax", "kingma2015adam"),
    "sgd": ("stochastic gradient descent with momentum", ""),
}
SCHEDULES = {
    "one-cycle": (
        "goes up over the first quarter of the steps and down over the rest, in one cycle",
        "smith2017superconvergence",
    ),
    "polynomial": ("falls polynomially", "chen2018deeplab"),
    "cosine": ("falls along a cosine", "loshchilov2017sgdr"),
    "step": ("falls in steps", ""),
    "constant": ("stays the same", ""),
}


def methodology(material: Material) -> list[Section]:
    """The section."""
    subjects = material.subjects
    blocks: list[Block] = [_runs(subjects)]
    blocks += _unfinished(subjects)
    blocks += [
        paragraph(_crops(subjects)),
        paragraph(_loss(subjects)),
        paragraph(_optimizer(subjects)),
        paragraph(_start(subjects)),
        paragraph(_hardware(subjects, material)),
        *(paragraph(_sweep(sweep)) for sweep in material.sweeps),
        paragraph(_scoring(material)),
        *_settings(subjects),
    ]
    return [Section("methodology", "Methodology", tuple(blocks))]


def _runs(subjects: tuple[Subject, ...]) -> Table:
    rows = []
    for subject in subjects:
        rows.append(
            (
                Cell((subject.label,)),
                words_cell(subject.config.model.title),
                words_cell(subject.state_words),
                cell(steps_done(subject)),
                cell(subject.number("plan.json", "/steps_total")),
                cell(minutes_of(subject)),
                cell(subject.number("config.json", "/training/seed")),
            )
        )
    caption = ("The runs: how each stands, and how long it was trained, in minutes by the clock, scoring included.",)
    heads = ("run", "network", "state", "steps", "planned", "minutes", "seed")
    return Table("runs", caption, heads, tuple(rows), words=(1, 2))


def steps_done(subject: Subject) -> Number | None:
    """Steps by the last row that the trainer wrote, which a killed run's status may not know."""
    rows = max(("train", "eval"), key=lambda kind: subject.look(kind, "/-1/step") or 0)
    count = len(subject.files.get(rows, []))
    return subject.number(rows, f"/{count - 1}/step") if count else None


def minutes_of(subject: Subject) -> Number | None:
    """Minutes of training, breaks not counted; by the clock of the status where the rows don't say."""
    for kind in ("train", "eval"):
        count = len(subject.files.get(kind, []))
        number = subject.number(kind, f"/{count - 1}/minutes", MINUTES) if count else None
        if number:
            return number
    status = subject.run.status
    if status.started and status.ended:
        return derived(status.ended - status.started, SECONDS_AS_MINUTES, f"duration {subject.run.id}/status.json")
    return None


def _unfinished(subjects: tuple[Subject, ...]) -> list[Block]:
    """What has to be known of runs that have not come to their end."""
    found: list[Block] = []
    words = {
        "queued": "has not begun to train",
        "running": "was still training when this was written",
        "paused": "is paused",
        "stopped": "was stopped before its end",
        "lost": "stopped unexpectedly: its process is gone",
        "failed": "failed",
    }
    for subject in subjects:
        if subject.run.state == "finished":
            continue
        error = subject.run.status.error or ""
        parts: list[Part | Text | None] = [f"{subject.label} {words[subject.run.state]}"]
        done, planned = steps_done(subject), subject.number("plan.json", "/steps_total")
        if done and planned:
            parts += [", after ", done, " of ", planned, " steps"]
        parts.append(f": {error}" if error and subject.run.state == "failed" else ".")
        found.append(note(*parts))
    return found


def _crops(subjects: tuple[Subject, ...]) -> Text:
    def said(name: str) -> Text:
        return said_of_all(subjects, "training", name)

    parts: list[Part | Text | None] = [
        "A step sees ", said("batch_size"), " crops of ", said("crop_width"), " × ", said("crop_height"),
        " pixels, each enlarged by a random factor of ", said("zoom_min"), " to ", said("zoom_max"),
    ]  # fmt: skip
    if any(subject.config.training.flip for subject in subjects):
        parts += [
            ", half of them mirrored left to right",
            _only(subjects, lambda subject: subject.config.training.flip),
        ]
    optional = (
        ("color_jitter", ", with brightness, contrast and saturation varied by up to this share: ", ""),
        ("rotation", ", turned by up to ", " degrees"),
        ("blur", ", blurred with a probability of ", ""),
        ("rare_crops", ", centred on a rare class with a probability of ", ""),
    )
    for name, before, after in optional:
        users = [subject for subject in subjects if getattr(subject.config.training, name) > 0]
        if users:
            parts += [before, said_of_all(users, "training", name), after, _only(subjects, users.__contains__)]
    parts.append(".")
    split = [subject for subject in subjects if subject.config.training.accumulation > 1]
    if split:
        parts += [
            " A step's crops go through the network in ",
            said_of_all(split, "training", "accumulation"),
            " parts",
            _only(subjects, lambda subject: subject in split),
            ".",
        ]
    limited = [subject for subject in subjects if subject.config.dataset.train_limit > 0]
    if limited:
        parts += [" Only ", said_of_all(limited, "dataset", "train_limit"), " of the training frames were learned from", _only(subjects, lambda subject: subject in limited), "."]  # fmt: skip
    return text(*parts)


def _only(subjects: tuple[Subject, ...], applies: Callable[[Subject], bool]) -> str:
    """In brackets who something is true of, where it isn't of all."""
    users = [subject.label for subject in subjects if applies(subject)]
    return "" if len(users) == len(subjects) else f" ({', '.join(users)})"


def _named(table: dict[str, tuple[str, str]], subjects: tuple[Subject, ...], name: str) -> Text:
    def words(subject: Subject) -> Text:
        title, key = table[getattr(subject.config.training, name)]
        return text(title, cite(key) if key else ())

    return by_value(subjects, words)


def _loss(subjects: tuple[Subject, ...]) -> Text:
    parts: list[Part | Text | None] = ["The loss is ", _named(LOSSES, subjects, "loss")]
    added = tuple(subject for subject in subjects if subject.config.training.added_loss != "none")
    if added:
        parts += [
            ", plus ", said_of_all(added, "training", "added_loss_weight"), " times ", _named(LOSSES, added, "added_loss"),
            _only(subjects, lambda subject: subject in added),
        ]  # fmt: skip
    weighed = tuple(subject for subject in subjects if ("training", "class_weights") in used_settings(subject.config))
    if weighed:
        parts += ["; classes are weighed by ", _named(WEIGHTS, weighed, "class_weights"), _only(subjects, lambda subject: subject in weighed)]  # fmt: skip
    parts.append(".")
    smoothed = tuple(
        subject for subject in subjects if ("training", "label_smoothing") in used_settings(subject.config)
    )
    if smoothed:
        parts += [
            " Labels are smoothed", cite("szegedy2016inception"), " by ",
            said_of_all(smoothed, "training", "label_smoothing"), _only(subjects, lambda subject: subject in smoothed), ".",
        ]  # fmt: skip
    return text(*parts)


def _optimizer(subjects: tuple[Subject, ...]) -> Text:
    parts: list[Part | Text | None] = [
        "The optimizer is ", _named(OPTIMIZERS, subjects, "optimizer"), ", with a weight decay of ",
        said_of_all(subjects, "training", "weight_decay"),
    ]  # fmt: skip
    sgd = [subject for subject in subjects if subject.config.training.optimizer == "sgd"]
    if sgd:
        parts += [" and a momentum of ", said_of_all(sgd, "training", "momentum")]
    clipped = [subject for subject in subjects if subject.config.training.clip_norm > 0]
    if clipped:
        parts += ["; gradients longer than ", said_of_all(clipped, "training", "clip_norm"), " are shortened", _only(subjects, lambda subject: subject in clipped)]  # fmt: skip
    parts += [
        ". The learning rate is at most ", said_of_all(subjects, "training", "learning_rate"), " and ",
        _named(SCHEDULES, subjects, "schedule"),
    ]  # fmt: skip
    warm = [subject for subject in subjects if ("training", "warm_up") in used_settings(subject.config)]
    if warm:
        parts += [", after it has climbed over this share of the steps: ", said_of_all(warm, "training", "warm_up")]
    slow = [subject for subject in subjects if ("training", "encoder_rate") in used_settings(subject.config)]
    if slow:
        parts += ["; the encoder learns at ", said_of_all(slow, "training", "encoder_rate"), " of it", _only(subjects, lambda subject: subject in slow)]  # fmt: skip
    gentle = [subject for subject in subjects if _is_gentle(subject)]
    if gentle:
        parts.append(
            f"; the pretrained encoder learns at {PRETRAINED_VIT:g} of it{_only(subjects, lambda subject: subject in gentle)}"
        )
    decayed = [subject for subject in subjects if subject.config.training.layer_decay < 1]
    if decayed:
        parts += ["; each block of a ViT learns at ", said_of_all(decayed, "training", "layer_decay"), " of the rate of the block above it", cite("bao2022beit")]  # fmt: skip
    parts.append(".")
    averaged = [subject for subject in subjects if subject.config.training.ema > 0]
    if averaged:
        parts += [
            " A moving mean of the weights is what is scored, of which each step keeps ",
            said_of_all(averaged, "training", "ema"), _only(subjects, lambda subject: subject in averaged), ".",
        ]  # fmt: skip
    return text(*parts)


def _is_gentle(subject: Subject) -> bool:
    """A pretrained ViT, whose encoder learns slowly where nothing else is asked for, see core.training.optimizer."""
    config = subject.config
    return (
        config.training.encoder_rate == 0
        and config.model.family == "vit"
        and not config.model.freeze
        and bool(subject.run.plan.get("pretrained"))
    )


def _start(subjects: tuple[Subject, ...]) -> Text:
    """First weights, and the length of the training."""
    planned = [subject for subject in subjects if subject.run.plan.get("weights")]
    parts: list[Part | Text | None] = []
    if planned:
        parts.append(by_value(planned, lambda subject: (f"{subject.run.plan['weights'].rstrip('.')}",)))
        parts.append(". ")
    pretrained = {subject.config.model.encoder_name for subject in planned if subject.run.plan.get("pretrained")}
    supervised = [name for name in pretrained if "dino" not in name]
    if supervised:
        parts += ["Weights of encoders other than DINO's were learned on ImageNet", cite("deng2009imagenet"), ". "]
    timed = [subject for subject in subjects if subject.config.training.minutes > 0]
    counted = [subject for subject in subjects if subject.config.training.minutes == 0]
    if timed:
        parts += [
            "The length of the training was given in minutes (", said_of_all(timed, "training", "minutes"),
            "): the speed was measured first, and the number of steps fixed before the first one", _only(subjects, lambda subject: subject in timed), ". ",
        ]  # fmt: skip
    if counted:
        parts += [
            "The length of the training was set to ", said_of_all(counted, "training", "epochs"), " passes through the training frames",
            _only(subjects, lambda subject: subject in counted), ". ",
        ]  # fmt: skip
    early = [subject for subject in subjects if subject.config.training.stop_early != "never"]
    if early:
        parts += [
            "A run stops early when ",
            said_of_all(early, "training", "patience"),
            " evaluations have brought nothing better. ",
        ]
    for subject in subjects:
        taken, meant = steps_done(subject), subject.number("plan.json", "/steps_total")
        if subject.run.state == "finished" and taken and meant and taken.value < meant.value:
            parts += [f"{subject.label} stopped early, after ", taken, " of ", meant, " steps. "]
    parts += [
        "Each run was scored ", by_value(subjects, _evaluations),
        " times during its training; the weights of the highest validation mean IoU are the ones that are reported.",
    ]  # fmt: skip
    return text(*parts)


def _evaluations(subject: Subject) -> Text:
    return (derived(len(subject.files["eval"]), COUNT, f"count {subject.run.id}/eval:"),)


def _hardware(subjects: tuple[Subject, ...], material: Material) -> Text:
    planned = [subject for subject in subjects if subject.run.plan.get("hardware")]
    parts: list[Part | Text | None] = []
    if planned:
        parts += [
            "Trained with PyTorch",
            cite("paszke2019pytorch"),
            " and encoders of timm",
            cite("wightman2019timm"),
            ": ",
        ]
        parts.append(by_value(planned, lambda subject: (subject.run.plan["hardware"].rstrip("."),)))
        parts.append(". ")
    many = [subject for subject in subjects if subject.config.training.processes > 1]
    if many:
        parts += [said_of_all(many, "training", "processes"), " processes trained together", _only(subjects, lambda subject: subject in many), ". "]  # fmt: skip
    parts += ["Every random choice follows from the seed: ", said_of_all(subjects, "training", "seed"), "."]
    return text(*parts)


def _sweep(sweep: Sweep) -> Text:
    spec = sweep.spec
    varied = [
        text(f"{name} ", f"from {choice.low:g} to {choice.high:g}" if isinstance(choice, Range) else f"of {listed([str(value) for value in choice], 'or')}")
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


def _scoring(material: Material) -> Text:
    carded = [subject for subject in material.subjects if subject.card]
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
    if any(group.comparisons for group in material.groups):
        parts += [
            "Two runs are compared by a paired bootstrap",
            cite("efron1979bootstrap"),
            ": frames are drawn with replacement, the same ones for both, 2,000 times; a difference is called certain where the "
            f"95 % interval doesn't hold 0, on {ENOUGH} frames or more. ",
        ]
    if any(subject.robustness for subject in carded):
        parts += [
            "Robustness is measured in the manner of Hendrycks and Dietterich",
            cite("hendrycks2019robustness"),
            ".",
        ]
    return text(*parts)


def _protocol(subject: Subject) -> Text:
    return text(
        "Scored are ", subject.score("/facts/frames", Form()), " frames at ", subject.score("/facts/size/1", Form()), " × ",
        subject.score("/facts/size/0", Form()), f" pixels: {subject.card.facts.settings.words}",
    )  # fmt: skip


def _settings(subjects: tuple[Subject, ...]) -> list[Block]:
    """Every setting that was used: one column where all runs agree, a table of differences where they don't."""
    used = {subject.run.id: set(used_settings(subject.config)) for subject in subjects}
    everything = [
        (part, name)
        for part, detail in RunConfig.model_fields.items()
        for name in detail.annotation.model_fields
        if any((part, name) in used[subject.run.id] for subject in subjects)
    ]
    common, differing = [], []
    for part, name in everything:
        users = [subject for subject in subjects if (part, name) in used[subject.run.id]]
        alike = len({plain_words(setting_words(subject, part, name)) for subject in users}) == 1
        head = Cell((_title(part, name),))
        if alike and len(users) == len(subjects):
            common.append((head, Cell(setting_words(users[0], part, name)), words_cell(_help(part, name))))
        else:
            cells = [
                Cell(setting_words(subject, part, name)) if subject in users else words_cell(DASH)
                for subject in subjects
            ]
            differing.append((head, *cells))
    blocks: list[Block] = []
    if differing:
        blocks.append(
            Table("differences", ("Settings in which the runs differ; a dash where a run has no such setting.",),
                  ("setting", *columns_of(subjects)), tuple(differing))
        )  # fmt: skip
    if common:
        who = "of the run" if len(subjects) == 1 else "that all runs share"
        blocks.append(
            Table("settings", (f"Settings {who}; what was switched off is left out.",), ("setting", "value", "what it means"), tuple(common), words=(2,))
        )  # fmt: skip
    return blocks


def _title(part: str, name: str) -> str:
    detail = RunConfig.model_fields[part].annotation.model_fields[name]
    unit = (detail.json_schema_extra or {}).get("unit", "")
    return f"{name.replace('_', ' ')}{f', {unit}' if unit else ''}"


def _help(part: str, name: str) -> str:
    return RunConfig.model_fields[part].annotation.model_fields[name].description or ""

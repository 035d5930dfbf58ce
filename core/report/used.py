"""Which settings of a run had a say in what came out: the rest is left out of a report, as if it weren't there."""

from core.config import RunConfig

REGION_LOSSES = frozenset({"dice", "jaccard", "lovasz"})
SMOOTHED = frozenset({"cross-entropy", "ohem"})

PARTS = ("dataset", "model", "training")
"""Parts of a config that say what was computed; the others say where, and who was told."""

NO_METHOD = frozenset(
    {
        "dataset.name",  # said in the introduction
        "dataset.root",  # a place on a disk; it is part of the commands
        "model.encoder",  # said by its title, with the default filled in
        "model.architecture",  # of a network that others published, whose repository says it
        "model.weights",  # the plan says what was really loaded
        "model.grad_checkpointing",  # costs time, changes no number
        "training.checkpoint_seconds",
        "training.compile",
        "training.device",  # the plan says which it was
        "training.precision",
        "training.threads",
        "training.workers",
    }
)
"""Settings that are said elsewhere, or that change no number."""


def used_settings(config: RunConfig) -> list[tuple[str, str]]:
    """Part and name of each setting that was used, in the order of the config."""
    found = []
    for part in PARTS:
        for name in type(getattr(config, part)).model_fields:
            if f"{part}.{name}" not in NO_METHOD and _is_used(config, part, name):
                found.append((part, name))
    return found


def _is_used(config: RunConfig, part: str, name: str) -> bool:
    dataset, model, training = config.dataset, config.model, config.training
    losses = {training.loss, training.added_loss}
    mixture = dataset.annotations == "fine+coarse"
    if part == "model":
        off = name in ("freeze", "dropout", "drop_path") and not getattr(model, name)
        return name == "family" or (name in model.options and not off)
    conditions = {
        # data
        "annotations": dataset.name != "folder",
        "coarse_split": "coarse" in dataset.annotations,
        "fine_weight": mixture,
        "coarse_weight": mixture,
        "val_share": dataset.name == "folder",
        "cache": dataset.cache == "jpeg",  # the only one that changes a pixel
        "train_limit": dataset.train_limit > 0,
        "train_sample": dataset.train_limit > 0 and dataset.train_sample > 0,
        "val_limit": dataset.val_limit > 0,
        # length
        "minutes": training.minutes > 0,
        "epochs": training.minutes == 0,
        "accumulation": training.accumulation > 1,
        "stop_early": training.stop_early != "never",
        "patience": training.stop_early != "never",
        "processes": training.processes > 1,
        # augmentation
        "color_jitter": training.color_jitter > 0,
        "rotation": training.rotation > 0,
        "blur": training.blur > 0,
        "rare_crops": training.rare_crops > 0,
        # optimizer
        "momentum": training.optimizer == "sgd",
        "warm_up": training.schedule != "one-cycle" and training.warm_up > 0,
        "gamma": training.schedule == "step",
        "gamma_epochs": training.schedule == "step",
        "power": training.schedule == "polynomial",
        "encoder_rate": not model.freeze and training.encoder_rate > 0,
        "layer_decay": training.layer_decay < 1,
        "ema": training.ema > 0,
        "clip_norm": training.clip_norm > 0,
        # loss
        "added_loss": training.added_loss != "none",
        "added_loss_weight": training.added_loss != "none",
        "label_smoothing": training.label_smoothing > 0 and bool(losses & SMOOTHED),
        "class_weights": bool(losses - REGION_LOSSES - {"none"}),
    }
    return conditions.get(name, True)

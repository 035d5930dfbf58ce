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
    results = []
    for part in PARTS:
        for name in type(getattr(config, part)).model_fields:
            if f"{part}.{name}" not in NO_METHOD and _is_used(config, part, name):
                results.append((part, name))
    return results


def _is_used(config: RunConfig, part: str, name: str) -> bool:
    dataset, model, training = config.dataset, config.model, config.training
    losses = {training.loss, training.second_loss}
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
        "val_fraction": dataset.name == "folder",
        "cache": dataset.cache == "jpeg",  # the only one that changes a pixel
        "max_train_samples": dataset.max_train_samples > 0,
        "train_sample_seed": dataset.max_train_samples > 0 and dataset.train_sample_seed > 0,
        "max_val_samples": dataset.max_val_samples > 0,
        # length
        "minutes": training.minutes > 0,
        "epochs": training.minutes == 0,
        "accumulate_grad_batches": training.accumulate_grad_batches > 1,
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
        "warmup_fraction": training.schedule != "one-cycle" and training.warmup_fraction > 0,
        "gamma": training.schedule == "step",
        "gamma_epochs": training.schedule == "step",
        "power": training.schedule == "polynomial",
        "encoder_lr_scale": not model.freeze and training.encoder_lr_scale > 0,
        "layer_decay": training.layer_decay < 1,
        "ema": training.ema > 0,
        "grad_clip_norm": training.grad_clip_norm > 0,
        # loss
        "second_loss": training.second_loss != "none",
        "second_loss_weight": training.second_loss != "none",
        "label_smoothing": training.label_smoothing > 0 and bool(losses & SMOOTHED),
        "class_weights": bool(losses - REGION_LOSSES - {"none"}),
    }
    return conditions.get(name, True)

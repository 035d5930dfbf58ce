"""The whole config of a run, its presets, and which of its fields have a say."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args

import annotated_types
from pydantic import Field, model_validator
from pydantic.fields import FieldInfo

from core.config.dataset import DatasetConfig
from core.config.model import ModelConfig
from core.config.runner import RunnerConfig
from core.config.settings import Part, Setting
from core.config.tracking import TrackingConfig
from core.config.training import TrainingConfig
from core.data.sources import SOURCES
from core.models.encoder_table import ENCODER_KINDS, kind_of
from core.models.families import FAMILIES, options_of


class RunConfig(Part):
    """Everything that makes a run, and makes it again."""

    dataset: Annotated[DatasetConfig, Field(default_factory=DatasetConfig)]
    model: Annotated[ModelConfig, Field(default_factory=ModelConfig)]
    training: Annotated[TrainingConfig, Field(default_factory=TrainingConfig)]
    tracking: Annotated[TrackingConfig, Field(default_factory=TrackingConfig)]
    runner: Annotated[RunnerConfig, Field(default_factory=RunnerConfig)]

    @property
    def shown_size(self) -> tuple[int, int]:
        """Height and width in pixels at which a network sees whole frames; other shapes come at as many pixels."""
        scale = self.training.test_scale
        return round(self.dataset.height * scale), round(self.dataset.width * scale)

    @model_validator(mode="after")
    def _each_gpu_has_a_process(self) -> "RunConfig":
        runner, processes = self.runner, self.training.num_processes
        if runner.engine == "slurm" and runner.gpus and processes != runner.nodes * runner.gpus:
            raise ValueError(
                f"training.num_processes is {processes}, but {runner.nodes} x {runner.gpus} GPUs are asked for, and"
                f" each takes a process. Set training.num_processes to {runner.nodes * runner.gpus}, or change"
                " runner.nodes or runner.gpus."
            )
        if runner.engine == "slurm" and processes % runner.nodes:
            raise ValueError(
                f"training.num_processes is {processes}, which {runner.nodes} nodes can't share out evenly. Take a"
                f" multiple of {runner.nodes}."
            )
        return self

    @model_validator(mode="after")
    def _a_batch_has_a_spread(self) -> "RunConfig":
        training = self.training
        each = training.batch_size // training.num_processes
        # At a 32nd of its size such a crop is a single cell.
        pixels = 64 * 64 if training.batch_size == 1 else 64 * 32
        if each <= 1 and training.crop_height * training.crop_width < pixels:
            raise ValueError(
                f"training.batch_size is {training.batch_size} with a crop of {training.crop_width} x"
                f" {training.crop_height}: batch normalisation has nothing to average there. Take a batch of"
                f" {2 * training.num_processes}, or a crop of at least 64 x 64."
            )
        return self

    @model_validator(mode="after")
    def _layers_decay_in_a_vit(self) -> "RunConfig":
        if self.training.layer_decay != 1 and not has_a_say(self.model_dump(), "training", "layer_decay"):
            raise ValueError(
                f"training.layer_decay is {self.training.layer_decay:g}, but {self.model.title} has no row of equal"
                " blocks. Take 1, or a ViT, as a family or as a U-Net's encoder."
            )
        return self

    @model_validator(mode="after")
    def _frames_without_masks_have_a_teacher(self) -> "RunConfig":
        if self.dataset.unlabelled and not self.training.teacher:
            raise ValueError(
                "dataset.unlabelled shows photographs without masks, of which only a teacher's answers can be learned."
                " Name a training.teacher, or set it to 0."
            )
        return self

    @model_validator(mode="after")
    def _check_data_root(self) -> "RunConfig":
        dataset = self.dataset
        source = SOURCES[dataset.name]
        if source.root_title and not dataset.root.strip():
            raise ValueError(f"dataset.root is empty: name the folder on your disk that holds {source.root_holds}.")
        if not source.has_coarse and dataset.annotations != "fine":
            raise ValueError(
                f"dataset.annotations is '{dataset.annotations}', but only Cityscapes has coarse masks. Take 'fine' for"
                " your own."
            )
        return self


@dataclass(frozen=True)
class Preset:
    """A length of training, and what suits it.

    Attributes:
        help: a line for the form.
        training: the fields of a training that it sets; everything else keeps its default.
        is_short: what pays where every step counts is set too, as `ENCODER_KINDS` says.
    """

    help: str
    training: dict[str, Any]
    is_short: bool = False

    def suiting(self, model: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Return the fields that it sets beside `training` for a network, part by part; `model` is what is set of that
        part already.
        """
        family, weights = model.get("family", "fcn"), model.get("weights", "auto")
        if not self.is_short or family not in FAMILIES:
            return {}
        encoder = model.get("encoder") or FAMILIES[family].default_encoder
        kind = ENCODER_KINDS[kind_of(encoder)]
        can_freeze = weights != "none" and "freeze" in options_of(family, encoder)
        suiting: dict[str, dict[str, Any]] = {}
        if kind.frozen_share and can_freeze:
            suiting["model"] = {"freeze": kind.frozen_share}
        if kind.half_size_share:
            suiting["training"] = {"half_size_share": kind.half_size_share}
        return suiting


PRESETS: dict[str, Preset] = {
    "taste": Preset(
        "about a minute: the network learns where road, sky and buildings are",
        {"minutes": 1.0, "evaluations": 4, "checkpoint_seconds": 15.0},
        is_short=True,
    ),
    "quick": Preset("about five minutes: cars and trees take shape", {"minutes": 5.0, "evaluations": 6}, is_short=True),
    "full": Preset(
        "60 passes over the data, for scores to compare; Try first says how long that takes on this machine",
        {"minutes": 0.0, "epochs": 60.0, "evaluations": 30},
    ),
}


def fields_of(part: str) -> dict[str, FieldInfo]:
    """Return the fields of a part of the config, in order."""
    return RunConfig.model_fields[part].annotation.model_fields


def all_fields() -> Iterator[tuple[str, str]]:
    """Yield part and name of every field, in order."""
    return ((part, name) for part in RunConfig.model_fields for name in fields_of(part))


def setting_of(part: str, name: str) -> Setting:
    """Return what is known of a field."""
    extra: Any = fields_of(part)[name].json_schema_extra
    return extra["setting"]


def has_a_say(values: Mapping[str, Mapping[str, Any]], part: str, name: str) -> bool:
    """Return whether a field matters under the other choices.

    Args:
        values: plain values, part by part; what is missing among them rules nothing out.
        part, name: the field.
    """
    model = values.get("model", {})
    if part == "model" and name not in ("family", "encoder", "weights", "class_map") and model.get("family"):
        default = FAMILIES[model["family"]].default_encoder if model["family"] in FAMILIES else ""
        return name in options_of(model["family"], model.get("encoder") or default, model.get("dilated_head", False))
    conditions = setting_of(part, name).only_if
    return not conditions or any(condition.holds(values) for condition in conditions)


def used_settings(config: RunConfig) -> list[tuple[str, str]]:
    """Return part and name of each field that shaped what came out of a run, in order: the settings of a report."""
    values = config.model_dump()
    return [
        (part, name)
        for part, name in all_fields()
        if (setting := setting_of(part, name)).in_report
        and values[part][name] not in setting.off
        and has_a_say(values, part, name)
    ]


def choices_of(field: FieldInfo) -> tuple[Any, ...]:
    """Return the values that a field offers, or nothing where it takes any within its bounds."""
    return get_args(field.annotation)


def bounds_of(field: FieldInfo) -> dict[str, Any]:
    """Return the bounds of a field by their sign: ge, gt, le."""
    limits = (annotated_types.Ge, annotated_types.Gt, annotated_types.Le)
    return {
        kind.__name__.lower(): getattr(limit, kind.__name__.lower())
        for limit in field.metadata
        for kind in limits
        if isinstance(limit, kind)
    }


def differences(one: RunConfig, other: RunConfig) -> dict[str, tuple[Any, Any]]:
    """Return the fields in which two configs differ, by their full name, `training.epochs`, each with both values."""
    mine, theirs = one.model_dump(), other.model_dump()
    return {
        f"{part}.{name}": (value, theirs[part][name])
        for part, fields in mine.items()
        for name, value in fields.items()
        if value != theirs[part][name]
    }

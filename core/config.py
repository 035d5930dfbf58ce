"""What a run is: one frozen object that makes the form, the command line, `config.json` and the report's table.

Default, bounds, unit and help stand beside each field. Nothing here imports torch.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.errors import LabError
from core.models.encoder_table import encoder_title
from core.models.families import FAMILIES, REFERENCE, REFERENCE_TITLES, Family, options_of

DatasetName = Literal["streets", "cityscapes", "folder"]
Annotations = Literal["fine", "coarse", "fine+coarse"]
CoarseSplit = Literal["train", "train_extra", "train+train_extra"]
LossName = Literal["cross-entropy", "focal", "ohem", "dice", "jaccard", "lovasz"]
WeightingName = Literal["sqrt", "median", "enet", "none"]
ScheduleName = Literal["one-cycle", "polynomial", "cosine", "step", "constant"]
OptimizerName = Literal["adamw", "adam", "adamax", "sgd"]
CacheKind = Literal["auto", "raw", "jpeg", "off"]
EngineName = Literal["local", "slurm"]
CLUSTER_NAME = r"^([A-Za-z0-9_][A-Za-z0-9_.,-]*)?$"
"""What may name something on a cluster: it becomes a line of a job's script, so nothing that a shell or sbatch would read otherwise."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def _field(default: Any, help: str, unit: str = "", **bounds: Any) -> Any:
    return Field(default=default, description=help, json_schema_extra={"unit": unit}, **bounds)


class DatasetConfig(_Part):
    """Which frames are learned from, and at which size they are read."""

    name: DatasetName = _field("streets", "Generated street scenes, Cityscapes, or a folder of your own.")
    root: str = _field(
        "",
        "Folder of the data: for Cityscapes the one that holds leftImg8bit and gtFine, else your images and masks.",
        max_length=1000,
    )
    annotations: Annotations = _field(
        "fine", "Fine masks follow every outline; coarse ones are quick polygons; a mixture shows both."
    )
    coarse_split: CoarseSplit = _field(
        "train", "Which photographs with coarse masks: those of train, the 19,998 others of train_extra, or both."
    )
    fine_weight: float = _field(1.0, "In a mixture: how often each fine frame is shown in an epoch.", "x", gt=0, le=100)
    coarse_weight: float = _field(
        1.0,
        "In a mixture: how often each coarse frame is shown in an epoch; 0.25 shows a random quarter.",
        "x",
        gt=0,
        le=100,
    )
    classes: str = _field(
        "auto",
        "What is told apart: cityscapes-19, -30, -34 or -7 (categories), or the path of a classes.json; auto takes the 19, and in "
        "your own folder its class table.",
        min_length=1,
        max_length=1000,
    )
    val_fraction: float = _field(
        0.2, "Share of your own frames that is held back for scoring, where no folder says which.", ge=0.01, le=0.9
    )
    cache: CacheKind = _field(
        "auto",
        "Decoded frames on disk: raw is exact and fastest, jpeg takes a tenth of the room, off decodes again in every run; auto "
        "takes a raw cache that is there already.",
    )
    height: int = _field(
        256, "Frames are scaled to this height when they are read, and scored at it.", "px", ge=32, le=1024
    )
    width: int = _field(
        512, "Frames are scaled to this width when they are read, and scored at it.", "px", ge=32, le=2048
    )
    max_train_samples: int = _field(
        0, "Learn from the first N training frames only; 0 takes all.", "frames", ge=0, le=100_000
    )
    train_sample_seed: int = _field(
        0,
        "Seed by which the max_train_samples frames are drawn at random; 0 takes the first ones.",
        ge=0,
        le=2**31 - 1,
    )
    max_val_samples: int = _field(
        0, "Score on N validation frames only, evenly spread; 0 takes all.", "frames", ge=0, le=100_000
    )


class ModelConfig(_Part):
    """Which network, on which encoder, starting from which weights, with which of its family's options."""

    family: Family = _field("fcn", "The family of networks: FCN, U-Net or Vision Transformer.")
    encoder: str = _field(
        "",
        "A timm encoder, or 'plain' for the U-Net of 2015. Empty takes the family's default.",
        max_length=100,
        pattern=r"^[A-Za-z0-9_.]*$",
    )
    weights: str = _field(
        "auto",
        "Where the encoder starts: auto (pretrained if they can be had, else from scratch), pretrained, none, the path of a "
        "safetensors file, or hub:OWNER/NAME@REVISION.",
        min_length=1,
        max_length=1000,
    )
    freeze: bool = _field(False, "The encoder keeps its first weights; only what stands on it learns.")
    # FCN
    stride: Literal[8, 16, 32] = _field(8, "The finest stride that is scored: FCN-8s, FCN-16s or FCN-32s.", "px")
    fc_width: int = _field(
        4096,
        "Channels of fc6 and fc7, VGG's classifier turned into convolutions; 0 leaves both out.",
        "channels",
        ge=0,
        le=4096,
    )
    # U-Net
    upsample: Literal["auto", "transposed", "bilinear", "nearest"] = _field(
        "auto",
        "How a level goes up: auto is transposed, as in the paper, for the plain U-Net, and nearest on an encoder.",
    )
    norm: Literal["batch", "group", "none"] = _field(
        "batch", "What follows each convolution of the U-Net; the paper has none."
    )
    score_levels: Literal["all", "finest"] = _field(
        "all",
        "Which levels of the path up over an encoder give scores: all, summed from coarse to fine as in FCN, or the finest alone.",
    )
    width: int = _field(
        32,
        "Channels of the first level of a plain U-Net, each level doubles them; 64 in the paper.",
        "channels",
        ge=4,
        le=128,
    )
    depth: int = _field(4, "How often a plain U-Net halves the picture; 4 in the paper.", "levels", ge=1, le=6)
    padding: Literal["same", "valid"] = _field(
        "same", "valid convolutions shrink the map, as in the paper, and the picture is mirrored at its rim instead."
    )
    dropout: float = _field(
        0.0, "Share of activations dropped: in the U-Net's deepest levels, in VGG's fc6 and fc7.", ge=0, le=0.9
    )
    # Vision Transformer
    head: Literal["linear", "pup", "mask"] = _field(
        "linear",
        "What turns tokens into classes: one linear layer, SETR's progressive upsampling, Segmenter's mask transformer.",
    )
    drop_path: float = _field(
        0.0, "Share of residual branches dropped in the last block, fewer in earlier ones.", ge=0, le=0.9
    )
    grad_checkpointing: bool = _field(
        False, "Compute activations again in the backward pass: less memory, a third more time."
    )
    # Reference
    architecture: str = _field(
        "",
        "What a reference network is built from, as JSON; filled in when one is brought from the Hub.",
        max_length=100_000,
    )

    @property
    def encoder_name(self) -> str:
        """The encoder that will be built, with the family's default filled in."""
        return self.encoder or (FAMILIES[self.family].default_encoder if self.family != REFERENCE else "")

    @property
    def options(self) -> tuple[str, ...]:
        """The fields that shape this network, besides family, encoder and weights."""
        return options_of(self.family, self.encoder_name)

    @property
    def title(self) -> str:
        """How a person would call this network."""
        if self.family == REFERENCE:
            return REFERENCE_TITLES.get(self.encoder, "Reference")
        name = FAMILIES[self.family].title
        if self.family == "fcn":
            name = f"FCN-{self.stride}s"
        if self.family == "vit" and self.head != "linear":
            name += f" {self.head}"
        return f"{name} · {encoder_title(self.encoder_name)}"

    @model_validator(mode="after")
    def _a_reference_is_brought(self) -> "ModelConfig":
        if self.family == REFERENCE and not self.architecture:
            raise ValueError(
                f"model.family is '{REFERENCE}', but such a network is brought from the Hub and can't be asked for. Take one of "
                f"{', '.join(FAMILIES)}."
            )
        return self

    @model_validator(mode="after")
    def _has_only_its_own_options(self) -> "ModelConfig":
        shared = ("family", "encoder", "weights", *self.options)
        for name, field in ModelConfig.model_fields.items():
            value = getattr(self, name)
            if name not in shared and value != field.default:
                raise ValueError(
                    f"model.{name} is {value!r}, but {self.title} has no such option. Leave it out; this network's own are "
                    f"{', '.join(self.options) or 'none'}."
                )
        return self


class TrainingConfig(_Part):
    """How the network learns, for how long, and how often it is looked at."""

    minutes: float = _field(
        1.0,
        "Train for about this long: the speed is measured first, then the number of steps is fixed. 0 uses epochs.",
        ge=0,
        le=100_000,
    )
    epochs: float = _field(20.0, "Passes over the training frames; used when minutes is 0.", gt=0, le=10_000)
    batch_size: int = _field(8, "Frames in one step.", "frames", ge=1, le=256)
    accumulate_grad_batches: int = _field(
        1,
        "A step's frames go through the network in this many parts: less memory, the same step.",
        "parts",
        ge=1,
        le=256,
    )
    crop_height: int = _field(192, "Height of the piece of a frame that a step sees.", "px", ge=32, le=1024)
    crop_width: int = _field(384, "Width of the piece of a frame that a step sees.", "px", ge=32, le=2048)
    scale_min: float = _field(1.0, "A crop is enlarged by a random factor of at least this.", "x", ge=0.25, le=4)
    scale_max: float = _field(2.0, "A crop is enlarged by a random factor of at most this.", "x", ge=0.25, le=4)
    flip: bool = _field(True, "Mirror half of the crops left to right.")
    color_jitter: float = _field(0.3, "Brightness, contrast and saturation vary by up to this share.", ge=0, le=1)
    rotation: float = _field(0.0, "A crop is turned by up to this angle, either way.", "degrees", ge=0, le=45)
    blur: float = _field(0.0, "Share of crops that are blurred, as by a lens out of focus.", ge=0, le=1)
    rare_crops: float = _field(
        0.0, "Share of crops that are centred on a class of their frame, the rarer the likelier.", ge=0, le=1
    )
    optimizer: OptimizerName = _field("adamw", "How a gradient becomes a step.")
    momentum: float = _field(0.9, "SGD's momentum.", ge=0, le=0.999)
    learning_rate: float = _field(2e-3, "The highest learning rate of the schedule.", ge=1e-6, le=1)
    schedule: ScheduleName = _field(
        "one-cycle",
        "How the learning rate changes: one-cycle rises, then falls; step, polynomial and cosine fall from the start; constant stays.",
    )
    warmup_fraction: float = _field(
        0.0,
        "Share of the steps over which the rate climbs first; one-cycle always climbs over a quarter.",
        ge=0,
        le=0.5,
    )
    gamma: float = _field(0.316, "The step schedule multiplies the rate by this, every gamma_epochs.", "x", gt=0, le=1)
    gamma_epochs: float = _field(10.0, "Epochs between two drops of the step schedule.", "epochs", gt=0, le=10_000)
    power: float = _field(0.9, "The polynomial schedule's exponent.", gt=0, le=10)
    encoder_lr_scale: float = _field(
        0.0,
        "The encoder learns at this share of the rate; 0 chooses: 1, but 0.01 for a pretrained ViT.",
        "x",
        ge=0,
        le=10,
    )
    layer_decay: float = _field(
        1.0,
        "Each block of a ViT learns at this share of the rate of the block above it; 1 treats all alike.",
        "x",
        ge=0.1,
        le=1,
    )
    weight_decay: float = _field(
        1e-2, "Pull of the weights towards zero: decoupled in AdamW, part of the gradient in the others.", ge=0, le=1
    )
    ema: float = _field(
        0.0,
        "Score and keep a moving average of the weights, with this decay: 0.999 is usual, 0 turns it off.",
        ge=0,
        le=0.9999,
    )
    stop_early: Literal["never", "loss", "miou"] = _field(
        "never", "Stop when this, on the validation frames, has not become better for a while."
    )
    patience: int = _field(5, "Evaluations without a better one before a run stops early.", ge=1, le=1000)
    loss: LossName = _field(
        "cross-entropy",
        "What is made small. Per pixel: cross-entropy, focal and ohem, which look at what is still hard. Per region: dice, jaccard "
        "and lovasz, which stand for the overlap that is scored.",
    )
    second_loss: Literal["none", "cross-entropy", "focal", "ohem", "dice", "jaccard", "lovasz"] = _field(
        "none", "A second loss, added to the first."
    )
    second_loss_weight: float = _field(1.0, "The second loss counts this much.", "x", gt=0, le=100)
    label_smoothing: float = _field(
        0.0, "This share of every pixel's truth is spread over all classes, in cross-entropy and ohem.", ge=0, le=0.5
    )
    class_weights: WeightingName = _field(
        "sqrt",
        "Weigh classes by 1/sqrt of their share, so that poles count, by median frequency, as ENet does, or not at all.",
    )
    grad_clip_norm: float = _field(5.0, "Gradients longer than this are shortened; 0 leaves them.", ge=0, le=1000)
    evaluations: int = _field(8, "How often the run is scored on the validation frames.", ge=1, le=1000)
    checkpoint_seconds: float = _field(30.0, "A checkpoint is written at least this often.", "s", ge=0, le=86_400)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = _field(
        "auto", "bf16 halves the time where the processor has it, and auto looks; fp16 is for older GPUs."
    )
    compile: bool = _field(
        False,
        "Let torch.compile make the network faster: a minute first, worth it on GPUs alone as far as was measured.",
    )
    device: str = _field("auto", "auto, cpu, cuda, cuda:N or mps.", pattern=r"^(auto|cpu|mps|cuda(:\d{1,2})?)$")
    processes: int = _field(
        1, "Processes that train together, one per GPU; on a CPU they share its cores.", ge=1, le=64
    )
    threads: int = _field(0, "Processor threads of each process; 0 shares the cores out.", ge=0, le=256)
    workers: int = _field(
        -1, "Processes that load frames; -1 chooses: none on a CPU, up to 8 beside a GPU.", ge=-1, le=64
    )
    seed: int = _field(0, "Every random choice follows from this number.", ge=0, le=2**31 - 1)

    @model_validator(mode="after")
    def _every_process_has_a_frame(self) -> "TrainingConfig":
        if self.batch_size < self.processes:
            raise ValueError(
                f"training.batch_size is {self.batch_size}, but {self.processes} processes need a frame each. Take a batch of at "
                f"least {self.processes}."
            )
        return self

    @model_validator(mode="after")
    def _zoom_is_a_range(self) -> "TrainingConfig":
        if self.scale_max < self.scale_min:
            raise ValueError(
                f"training.scale_max is {self.scale_max:g}, but must be at least training.scale_min ({self.scale_min:g})."
            )
        return self


class RunnerConfig(_Part):
    """Where the training runs, and what it asks of a cluster; this machine reads none but the first field."""

    engine: EngineName = _field("local", "This machine, or a cluster whose jobs SLURM hands out.")
    partition: str = _field(
        "", "Which part of the cluster; empty takes its default.", max_length=100, pattern=CLUSTER_NAME
    )
    account: str = _field(
        "", "Who the hours are charged to, where the cluster asks for it.", max_length=100, pattern=CLUSTER_NAME
    )
    nodes: int = _field(1, "Machines that train together.", ge=1, le=64)
    gpus: int = _field(1, "Graphics cards of each node; 0 trains on its processors.", ge=0, le=16)
    cpus: int = _field(8, "Processor cores of each node.", "cores", ge=1, le=512)
    memory: float = _field(0.0, "Memory of each node; 0 leaves it to the cluster.", "GB", ge=0, le=10_000)
    hours: float = _field(
        8.0,
        "The longest that one turn takes; a run that needs more writes a checkpoint and queues again by itself.",
        "h",
        gt=0,
        le=8760,
    )


class TrackingConfig(_Part):
    """Where else the numbers of a run go. What a tracker asks for, an address or a key, comes from the environment alone."""

    tensorboard: bool = _field(False, "Write TensorBoard event files into the run's folder.")
    mlflow: bool = _field(False, "Tell an MLflow server; MLFLOW_TRACKING_URI in the environment says which.")
    wandb: bool = _field(
        False, "Tell Weights & Biases; WANDB_API_KEY in the environment or `wandb login` says who you are."
    )
    project: str = _field(
        "segmentation-lab",
        "MLflow's experiment, and the project at Weights & Biases.",
        min_length=1,
        max_length=100,
        pattern=r"^[A-Za-z0-9_. -]+$",
    )


class RunConfig(_Part):
    """Everything that makes a run, and makes it again."""

    dataset: Annotated[DatasetConfig, Field(default_factory=DatasetConfig)]
    model: Annotated[ModelConfig, Field(default_factory=ModelConfig)]
    training: Annotated[TrainingConfig, Field(default_factory=TrainingConfig)]
    tracking: Annotated[TrackingConfig, Field(default_factory=TrackingConfig)]
    runner: Annotated[RunnerConfig, Field(default_factory=RunnerConfig)]

    @model_validator(mode="after")
    def _a_job_has_a_place_for_each_process(self) -> "RunConfig":
        runner, processes = self.runner, self.training.processes
        if runner.engine == "slurm" and runner.gpus and processes != runner.nodes * runner.gpus:
            raise ValueError(
                f"training.processes is {processes}, but {runner.nodes} x {runner.gpus} GPUs are asked for, and each takes a process. "
                f"Set training.processes to {runner.nodes * runner.gpus}, or change runner.nodes or runner.gpus."
            )
        if runner.engine == "slurm" and processes % runner.nodes:
            raise ValueError(
                f"training.processes is {processes}, which {runner.nodes} nodes can't share out evenly. Take a multiple of {runner.nodes}."
            )
        return self

    @model_validator(mode="after")
    def _a_batch_has_a_spread(self) -> "RunConfig":
        training = self.training
        if training.batch_size == 1 and training.crop_height * training.crop_width < 64 * 64:
            raise ValueError(
                f"training.batch_size is 1 with a crop of {training.crop_width} x {training.crop_height}: batch normalisation has "
                "nothing to average there. Take a batch of 2, or a crop of at least 64 x 64."
            )
        return self

    @model_validator(mode="after")
    def _layers_decay_in_a_vit(self) -> "RunConfig":
        if self.training.layer_decay != 1 and self.model.family != "vit":
            raise ValueError(
                f"training.layer_decay is {self.training.layer_decay:g}, but {self.model.title} has no row of equal blocks. "
                "Take 1, or a ViT."
            )
        return self

    @model_validator(mode="after")
    def _data_has_a_place(self) -> "RunConfig":
        dataset = self.dataset
        if dataset.name != "streets" and not dataset.root.strip():
            holds = "leftImg8bit and gtFine" if dataset.name == "cityscapes" else "your images and masks"
            raise ValueError(f"dataset.root is empty: name the folder on your disk that holds {holds}.")
        if dataset.name == "folder" and dataset.annotations != "fine":
            raise ValueError(
                f"dataset.annotations is '{dataset.annotations}', but only Cityscapes has coarse masks. Take 'fine' for your own."
            )
        return self


PRESETS: dict[str, dict[str, Any]] = {
    "taste": {"minutes": 1.0, "evaluations": 4, "checkpoint_seconds": 15.0},
    "quick": {"minutes": 5.0, "evaluations": 6},
    "full": {"minutes": 0.0, "epochs": 60.0, "evaluations": 30},
}
"""Training fields that a preset sets; everything else keeps its default."""

PRESET_HELP: dict[str, str] = {
    "taste": "about a minute: the network learns where road, sky and buildings are",
    "quick": "about five minutes: cars and trees take shape",
    "full": "60 passes over the data, for scores to compare; Try first says how long that takes on this machine",
}


def read_config(values: dict[str, Any]) -> RunConfig:
    """Checks plain values and makes a config of them.

    Raises:
        LabError: a field is unknown or out of range; the message names each field, its value and what is allowed.
    """
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        raise LabError(" ".join(_sentence(detail) for detail in error.errors())) from None


def with_preset(values: dict[str, Any], preset: str) -> dict[str, Any]:
    """`values` with the training fields of a preset filled in where `values` doesn't set them itself."""
    if preset not in PRESETS:
        raise LabError(f"There is no preset '{preset}'. Choose one of: {', '.join(PRESETS)}.")
    return values | {"training": PRESETS[preset] | values.get("training", {})}


def differences(one: RunConfig, other: RunConfig) -> dict[str, tuple[Any, Any]]:
    """The fields in which two configs differ, by their full name, `training.epochs`, each with the value of the one and the other."""
    mine, theirs = one.model_dump(), other.model_dump()
    return {
        f"{part}.{name}": (value, theirs[part][name])
        for part, fields in mine.items()
        for name, value in fields.items()
        if value != theirs[part][name]
    }


def _sentence(detail: Any) -> str:
    """One pydantic complaint as a sentence with field, value and allowed range."""
    field = _short(".".join(str(part) for part in detail["loc"]) or "config")
    value = _short(repr(detail["input"]))
    match detail["type"]:
        case "extra_forbidden":
            return f"'{field}' is not a setting of a run. {_known_fields(detail['loc'])}"
        case "value_error":
            return str(detail["ctx"]["error"])
        case "literal_error":
            return f"{field} is {value}, but must be one of {detail['ctx']['expected']}."
        case "greater_than_equal" | "greater_than" | "less_than_equal":
            return f"{field} is {value}, but must be {_range_words(detail['loc'])}."
        case _:
            return f"{field} is {value}: {detail['msg'][:1].lower()}{detail['msg'][1:]}."


def _range_words(location: tuple[Any, ...]) -> str:
    part, name = location
    bounds: dict[str, Any] = {}
    for bound in RunConfig.model_fields[part].annotation.model_fields[name].metadata:
        bounds |= {key: getattr(bound, key) for key in ("ge", "gt", "le") if hasattr(bound, key)}
    low = f"at least {bounds['ge']}" if "ge" in bounds else f"more than {bounds['gt']}"
    return f"{low} and at most {bounds['le']}"


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:80] + "..."


def _known_fields(location: tuple[Any, ...]) -> str:
    parts = {name: field.annotation for name, field in RunConfig.model_fields.items()}
    section = parts.get(str(location[0])) if len(location) > 1 else None
    names = list(section.model_fields) if section else list(parts)
    return f"Known here: {', '.join(names)}."

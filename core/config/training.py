"""The part `training` of a config."""

from typing import Any, Literal

from pydantic import model_validator

from core.config.settings import Condition, Part, field
from core.models.encoder_table import ENCODER_KINDS, kind_of
from core.models.families import FAMILIES
from core.training.tables import CLASS_WEIGHTINGS, LOSSES, OPTIMIZERS, SCHEDULES, readers_of

MAX_PROCESSES = 64
ITSELF = "itself"
"""A teacher that is the moving mean of the network that learns."""
LossName = Literal[*LOSSES]
WeightingName = Literal[*CLASS_WEIGHTINGS]
ScheduleName = Literal[*SCHEDULES]
OptimizerName = Literal[*OPTIMIZERS]


def _reads(option: str) -> tuple[Condition, ...]:
    """Return the conditions under which a choice reads an option, by the tables of losses, optimizers and schedules."""
    fields = {"loss": LOSSES, "second_loss": LOSSES, "optimizer": OPTIMIZERS, "schedule": SCHEDULES}
    return tuple(
        Condition(f"training.{field}", readers)
        for field, table in fields.items()
        if (readers := readers_of(option, table))
    )


def _is_vit(encoder: str) -> bool:
    return kind_of(encoder) == "vit"


def _encoder_lr_scales() -> str:
    """Return the shares that are chosen where none is asked for, for a sentence."""
    parts = [
        f"{kind.lr_scale:g} for a pretrained {kind.title}" for kind in ENCODER_KINDS.values() if kind.lr_scale != 1
    ]
    return f"{', '.join(parts)}, 1 for others"


class TrainingConfig(Part):
    """How the network learns, for how long, and how often it is looked at."""

    minutes: float = field(
        1.0,
        "Training time",
        "Train for about this long: the number of steps follows from the speed, measured at the start and again at"
        " each evaluation. Where that is fewer than 60 steps, up to twice as long. 0 uses epochs.",
        "min",
        group="Length",
        level="basic",
        off=(0,),
        ge=0,
        le=100_000,
    )
    epochs: float = field(
        20.0,
        "Epochs",
        "Passes over the training frames; used when minutes is 0.",
        group="Length",
        level="basic",
        only_if=(Condition("training.minutes", (0,)),),
        gt=0,
        le=10_000,
    )
    batch_size: int = field(
        8,
        "Batch size",
        "Frames that go through the network together.",
        "frames",
        group="Often changed",
        level="basic",
        ge=1,
        le=256,
    )
    crop_height: int = field(
        192,
        "Crop height",
        "Height of the piece of a frame that a step sees.",
        "px",
        group="Augmentation",
        ge=32,
        le=1024,
    )
    crop_width: int = field(
        384, "Crop width", "Width of the piece of a frame that a step sees.", "px", group="Augmentation", ge=32, le=2048
    )
    scale_min: float = field(
        1.0,
        "Scale from",
        "A crop is enlarged by a random factor of at least this.",
        "x",
        group="Augmentation",
        ge=0.25,
        le=4,
    )
    scale_max: float = field(
        2.0,
        "Scale to",
        "A crop is enlarged by a random factor of at most this.",
        "x",
        group="Augmentation",
        ge=0.25,
        le=4,
    )
    test_scale: float = field(
        1.25,
        "Scale when scored",
        "Pictures are enlarged by this before the network sees them to be scored or predicted, because training"
        " enlarges its crops; labels come at the picture's own size. More than 1 takes more time.",
        "x",
        group="Augmentation",
        off=(1,),
        ge=0.5,
        le=2,
    )
    half_size_share: float = field(
        0.0,
        "Share at half size",
        "So long, from the start, crops are shown at half their height and width: a step takes about a quarter of the"
        " time, so that there are more of them.",
        group="Augmentation",
        only_if=(Condition("model.family", tuple(FAMILIES)),),
        off=(0,),
        ge=0,
        le=0.9,
    )
    flip: bool = field(True, "Flip", "Mirror half of the crops left to right.", group="Augmentation")
    vertical_flip: bool = field(
        False,
        "Flip top to bottom",
        "Mirror half of the crops top to bottom: for pictures without an up, from above or through a microscope.",
        group="Augmentation",
        off=(False,),
    )
    rotate90: bool = field(
        False,
        "Quarter turns",
        "Turn crops by 0, 90, 180 or 270 degrees, each as often: for pictures without an up.",
        group="Augmentation",
        off=(False,),
    )
    color_jitter: float = field(
        0.3,
        "Colour jitter",
        "Brightness, contrast and saturation vary by up to this share.",
        group="Augmentation",
        off=(0,),
        ge=0,
        le=1,
    )
    rotation: float = field(
        0.0,
        "Rotation",
        "A crop is turned by up to this angle, either way.",
        "degrees",
        group="Augmentation",
        off=(0,),
        ge=0,
        le=45,
    )
    elastic: float = field(
        0.0,
        "Elastic bending",
        "Bend crops as tissue would: standard deviation of the displacements, 10 in the U-Net's paper.",
        "px",
        group="Augmentation",
        off=(0,),
        ge=0,
        le=50,
    )
    blur: float = field(
        0.0,
        "Blur",
        "Share of crops that are blurred, as by a lens out of focus.",
        group="Augmentation",
        off=(0,),
        ge=0,
        le=1,
    )
    rare_crops: float = field(
        0.0,
        "Crops on rare classes",
        "Share of crops that are centred on a class of their frame, the rarer the likelier.",
        group="Augmentation",
        off=(0,),
        ge=0,
        le=1,
    )
    copy_paste: float = field(
        0.0,
        "Copy-paste of rare classes",
        "Share of crops into which one class of another frame's crop is pasted where it stands there, the rarer the"
        " likelier.",
        group="Augmentation",
        off=(0,),
        ge=0,
        le=1,
    )
    optimizer: OptimizerName = field(
        "adamw", "Optimizer", "How a gradient becomes a step.", group="Optimizer and schedule"
    )
    momentum: float = field(
        0.9,
        "Momentum",
        "SGD's momentum.",
        group="Optimizer and schedule",
        only_if=_reads("momentum"),
        ge=0,
        le=0.999,
    )
    learning_rate: float = field(
        2e-3,
        "Learning rate",
        "The highest learning rate of the schedule.",
        group="Often changed",
        level="basic",
        ge=1e-6,
        le=1,
    )
    schedule: ScheduleName = field(
        "one-cycle",
        "Schedule",
        "How the learning rate changes: one-cycle rises, then falls; step, polynomial and cosine fall from the start;"
        " constant stays.",
        group="Optimizer and schedule",
    )
    warmup_fraction: float = field(
        0.0,
        "Warm-up",
        "Share of the steps over which the rate rises first; one-cycle always rises over a quarter.",
        group="Optimizer and schedule",
        only_if=_reads("warmup_fraction"),
        off=(0,),
        ge=0,
        le=0.5,
    )
    gamma: float = field(
        0.316,
        "Factor of a drop",
        "The step schedule multiplies the rate by this, as often as the epochs between drops say.",
        "x",
        group="Optimizer and schedule",
        only_if=_reads("gamma"),
        gt=0,
        le=1,
    )
    gamma_epochs: float = field(
        10.0,
        "Epochs between drops",
        "Epochs between two drops of the step schedule.",
        group="Optimizer and schedule",
        only_if=_reads("gamma_epochs"),
        gt=0,
        le=10_000,
    )
    power: float = field(
        0.9,
        "Power",
        "The polynomial schedule's exponent.",
        group="Optimizer and schedule",
        only_if=_reads("power"),
        gt=0,
        le=10,
    )
    encoder_lr_scale: float = field(
        0.0,
        "Encoder's share of the rate",
        f"The encoder learns at this share of the rate; 0 chooses: {_encoder_lr_scales()}.",
        "x",
        group="Optimizer and schedule",
        only_if=(Condition("model.freeze", other_than=(1,)),),
        off=(0,),
        ge=0,
        le=10,
    )
    unfreeze: float = field(
        0.0,
        "Unfreezing",
        "Over this share of the training, frozen layers of the encoder begin to learn one after the other, the last"
        " ones first; 0 keeps them frozen.",
        group="Optimizer and schedule",
        only_if=(Condition("model.freeze"),),
        off=(0,),
        ge=0,
        le=1,
    )
    layer_decay: float = field(
        1.0,
        "Layer decay",
        "Each block of a ViT learns at this share of the rate of what stands above it, as in BEiT: the last one at this"
        " share of the encoder's. 1 treats all alike.",
        "x",
        group="Optimizer and schedule",
        only_if=(
            Condition(
                "model.family", tuple(name for name, family in FAMILIES.items() if _is_vit(family.default_encoder))
            ),
            Condition("model.encoder", names=ENCODER_KINDS["vit"].names, meaning="a plain ViT"),
        ),
        off=(1,),
        ge=0.1,
        le=1,
    )
    weight_decay: float = field(
        1e-2,
        "Weight decay",
        "Pull of the weights towards zero: decoupled in AdamW, part of the gradient in the others.",
        group="Optimizer and schedule",
        ge=0,
        le=1,
    )
    ema: float = field(
        0.0,
        "EMA decay",
        "Score and keep a moving average of the weights, with this decay: 0.999 is usual, 0 turns it off.",
        group="Optimizer and schedule",
        off=(0,),
        ge=0,
        le=0.9999,
    )
    stop_early: Literal["never", "loss", "miou"] = field(
        "never",
        "Stop early by",
        "Stop when this, on the validation frames, has not become better for a while.",
        group="Optimizer and schedule",
        off=("never",),
    )
    patience: int = field(
        5,
        "Patience",
        "Evaluations without a better one before a run stops early.",
        group="Optimizer and schedule",
        only_if=(Condition("training.stop_early", ("loss", "miou")),),
        ge=1,
        le=1000,
    )
    loss: LossName = field(
        "cross-entropy",
        "Loss",
        "What is made small. Per pixel: cross-entropy, focal and ohem, which look at what is still hard. Per region:"
        " dice, jaccard and lovasz, which stand for the overlap that is scored.",
        group="Loss",
    )
    second_loss: Literal["none", *LOSSES] = field(
        "none", "Second loss", "A second loss, added to the first.", group="Loss", off=("none",)
    )
    second_loss_weight: float = field(
        1.0,
        "Weight of the second loss",
        "The second loss counts this much.",
        "x",
        group="Loss",
        only_if=(Condition("training.second_loss"),),
        gt=0,
        le=100,
    )
    label_smoothing: float = field(
        0.0,
        "Label smoothing",
        "This share of every pixel's truth is spread over all classes.",
        group="Loss",
        only_if=_reads("label_smoothing"),
        off=(0,),
        ge=0,
        le=0.5,
    )
    teacher: str = field(
        "",
        "Teacher",
        "Another run, or an ensemble: the probabilities of its best network are learned beside the labels, on every"
        " pixel of a crop, labelled or not. It sees each crop as well, so steps take longer. Or itself: its moving mean"
        " teaches where it is sure, of the mirrored crop.",
        group="Loss",
        off=("",),
        is_run=True,
        max_length=100,
        pattern=r"^[A-Za-z0-9-]*$",
    )
    teacher_weight: float = field(
        0.5,
        "Teacher's share",
        "This share of the loss is the teacher's, the rest the labels'.",
        group="Loss",
        only_if=(Condition("training.teacher"),),
        gt=0,
        le=1,
    )
    teacher_temperature: float = field(
        2.0,
        "Teacher's temperature",
        "The logits of both are divided by this before they are compared: a higher one teaches more of what is"
        " unlikely.",
        group="Loss",
        only_if=(Condition("training.teacher"),),
        ge=1,
        le=20,
    )
    class_weights: WeightingName = field(
        "sqrt",
        "Class weights",
        "Weigh classes by 1/sqrt of their share, so that poles count, by median frequency (over the frames that show a"
        " class), as ENet does, or not at all.",
        group="Loss",
        only_if=_reads("class_weights"),
    )
    grad_clip_norm: float = field(
        5.0,
        "Gradient clipping",
        "Gradients longer than this are shortened; 0 leaves them.",
        group="Optimizer and schedule",
        off=(0,),
        ge=0,
        le=1000,
    )
    evaluations: int = field(
        8,
        "Evaluations",
        "How often the run is scored on the validation frames: where minutes are few, on some of them until the end.",
        group="Length",
        level="basic",
        ge=1,
        le=1000,
    )
    accumulate_grad_batches: int = field(
        1,
        "Batches per step",
        "Gradients of this many batches are added up for one step: larger steps in the same memory. It is the step of"
        " one large batch, but for batch normalisation and losses of regions or hard pixels (dice, jaccard, lovasz,"
        " ohem), which see each batch by itself.",
        group="Machine",
        off=(1,),
        ge=1,
        le=256,
    )
    checkpoint_seconds: float = field(
        30.0,
        "Time between checkpoints",
        "A checkpoint is written at least this often.",
        "s",
        group="Machine",
        in_report=False,
        ge=0,
        le=86_400,
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = field(
        "auto",
        "Precision",
        "bf16 halves the time where the processor has it, and auto looks; fp16 is for older GPUs.",
        group="Machine",
        in_report=False,  # the plan says which it was
    )
    compile: bool = field(
        False,
        "Compile",
        "Let torch.compile make the network faster: a minute first, worth it on GPUs alone as far as was measured.",
        group="Machine",
        in_report=False,
    )
    device: str = field(
        "auto",
        "Device",
        "auto, cpu, cuda, cuda:N or mps.",
        group="Machine",
        in_report=False,  # the plan says which it was
        pattern=r"^(auto|cpu|mps|cuda(:\d{1,2})?)$",
    )
    num_processes: int = field(
        1,
        "Processes",
        "Processes that train together, one per GPU; on a CPU they share its cores. Each takes its part of the batch,"
        " and batch normalisation and losses of regions or hard pixels (dice, jaccard, lovasz, ohem) see that alone.",
        group="Machine",
        off=(1,),
        ge=1,
        le=MAX_PROCESSES,
    )
    sync_batch_norm: bool = field(
        False,
        "Synchronise batch normalisation",
        "Processes on GPUs normalise by the statistics of the whole batch (SyncBatchNorm), a little slower; on a CPU"
        " each keeps to its own part.",
        group="Machine",
        only_if=(Condition("training.num_processes", tuple(range(2, MAX_PROCESSES + 1))),),
        off=(False,),
    )
    threads: int = field(
        0,
        "Threads",
        "Processor threads of each process; 0 shares the cores out.",
        group="Machine",
        in_report=False,
        ge=0,
        le=256,
    )
    workers: int = field(
        -1,
        "Loader workers",
        "Processes that load frames; -1 chooses: none on a CPU, up to 8 beside a GPU.",
        group="Machine",
        in_report=False,
        ge=-1,
        le=64,
    )
    seed: int = field(
        0,
        "Seed",
        "Every random choice follows from this number.",
        group="Often changed",
        level="basic",
        ge=0,
        le=2**31 - 1,
    )

    @model_validator(mode="before")
    @classmethod
    def _rate_suits_the_optimizer(cls, values: Any) -> Any:
        """Fill in what the chosen optimizer has defaults of its own for."""
        name = values.get("optimizer") if isinstance(values, dict) else None
        entry = OPTIMIZERS.get(name) if isinstance(name, str) else None
        return {**dict(entry.defaults), **values} if entry else values

    @property
    def samples_per_step(self) -> int:
        """Frames that one optimizer step learns from, over all batches and processes."""
        return self.batch_size * self.accumulate_grad_batches

    @model_validator(mode="after")
    def _every_process_has_a_frame(self) -> "TrainingConfig":
        if self.batch_size < self.num_processes:
            raise ValueError(
                f"training.batch_size is {self.batch_size}, but {self.num_processes} processes need a frame each. Take"
                f" a batch of at least {self.num_processes}."
            )
        return self

    @model_validator(mode="after")
    def _who_teaches_itself_has_a_mean(self) -> "TrainingConfig":
        if self.teacher == ITSELF and not self.ema:
            raise ValueError(
                "training.teacher is the network itself, whose moving mean teaches, but there is none. Set training.ema"
                " to 0.99, or choose a run that teaches."
            )
        return self

    @model_validator(mode="after")
    def _who_teaches_itself_is_one_process(self) -> "TrainingConfig":
        if self.teacher == ITSELF and self.num_processes > 1:
            raise ValueError(
                "training.teacher is the network itself, whose mean differs between several processes: each has batch"
                " statistics of its own. Set training.num_processes to 1, or choose a run that teaches."
            )
        return self

    @model_validator(mode="after")
    def _unfreezes_in_one_process(self) -> "TrainingConfig":
        if self.unfreeze and self.num_processes > 1:
            raise ValueError(
                "training.unfreeze lets layers join while a network learns, which several processes together can't. Set"
                " it to 0, or training.num_processes to 1."
            )
        return self

    @model_validator(mode="after")
    def _scale_is_a_range(self) -> "TrainingConfig":
        if self.scale_max < self.scale_min:
            raise ValueError(
                f"training.scale_max is {self.scale_max:g}, but must be at least training.scale_min"
                f" ({self.scale_min:g})."
            )
        return self

"""The part `model` of a config."""

import math
import re
from typing import Literal

from pydantic import model_validator

from core.config.settings import Condition, Part, field
from core.files import parse_json
from core.models.encoder_table import encoder_title, kind_of
from core.models.families import (
    ENSEMBLE,
    FAMILIES,
    HEADS,
    NOT_TRAINED,
    PLAIN,
    TRANSFORMERS,
    TRANSFORMERS_TITLES,
    Family,
    options_of,
)

OF_RUN = "run:"
"""How `weights` names a run: this and its id."""
STARTS_FROM_RUN = Condition("model.weights", names=OF_RUN, meaning="another run")


class ModelConfig(Part):
    """Which network, on which encoder, starting from which weights, with which of its family's options."""

    family: Family = field("fcn", "Family", "The family of networks: FCN, U-Net or Vision Transformer.", level="basic")
    encoder: str = field(
        "",
        "Encoder",
        "A timm encoder, or 'plain' for the U-Net of 2015. Empty takes the family's default.",
        level="basic",
        in_report=False,
        max_length=100,
        pattern=r"^[A-Za-z0-9_.]*$",
    )
    weights: str = field(
        "auto",
        "Starts from",
        "Where the encoder starts: auto (pretrained if they can be had, else from scratch), pretrained, none, the path"
        " of a safetensors file, or hub:OWNER/NAME@REVISION. run:ID starts the whole network from another run's best"
        " checkpoint.",
        level="basic",
        in_report=False,
        min_length=1,
        max_length=1000,
    )
    class_map: str = field(
        "",
        "Classes carried over",
        "For a network that starts from a run: which of its classes stand for others here, as in 'rider = person, van ="
        " car'; nothing behind the sign starts a class anew. Equal names needn't be said.",
        only_if=(STARTS_FROM_RUN,),
        in_report=False,
        max_length=5000,
    )
    freeze: float = field(
        0.0,
        "Frozen share of the encoder",
        "This share of the encoder's layers, from the first on, keeps its first weights: steps take less time. 1"
        " freezes all of it.",
        only_if=(Condition("model.head_only", (False,)),),
        off=(0,),
        ge=0,
        le=1,
    )
    head_only: bool = field(
        False,
        "Learn the head alone",
        "Only layers that have something for each class learn; all others keep the weights that they start with.",
        off=(False,),
    )
    # FCN
    dilated_head: bool = field(
        False,
        "Dilated head",
        "FCN-D6 of MMSegmentation: two convolutions that look far, at stride 16, instead of finer scores.",
        off=(False,),
    )
    stride: Literal[8, 16, 32] = field(
        8, "Finest stride", "The finest stride that is scored: FCN-8s, FCN-16s or FCN-32s.", "px"
    )
    fc_width: int = field(
        4096,
        "FC width",
        "Channels of fc6 and fc7, VGG's classifier turned into convolutions; 0 leaves both out.",
        "channels",
        ge=0,
        le=4096,
    )
    # U-Net
    upsample: Literal["auto", "transposed", "bilinear", "nearest"] = field(
        "auto",
        "Upsampling",
        "How a level goes up: auto is transposed, as in the paper, for the plain U-Net, and nearest on an encoder.",
    )
    norm: Literal["batch", "group", "none"] = field(
        "batch", "Normalisation", "What follows each convolution of the U-Net; the paper has none."
    )
    score_levels: Literal["all", "finest"] = field(
        "all",
        "Levels that are scored",
        "Which levels of the path up over an encoder give scores: all, summed from coarse to fine as in FCN, or the"
        " finest alone.",
    )
    width: int = field(
        32,
        "Width of the first level",
        "Channels of the first level of a plain U-Net, each level doubles them; 64 in the paper.",
        "channels",
        ge=4,
        le=128,
    )
    depth: int = field(4, "Depth", "How often a plain U-Net halves the image; 4 in the paper.", "levels", ge=1, le=6)
    padding: Literal["same", "valid"] = field(
        "same",
        "Padding",
        "valid convolutions shrink the map, as in the paper, and the image is mirrored at its rim instead.",
    )
    dropout: float = field(
        0.0,
        "Dropout",
        "Share of activations dropped: in the U-Net's deepest levels, in VGG's fc6 and fc7.",
        off=(0,),
        ge=0,
        le=0.9,
    )
    # Vision Transformer
    head: Literal[*HEADS] = field(
        "linear",
        "Head",
        "What turns tokens into classes: one linear layer, SETR's progressive upsampling, Segmenter's mask"
        " transformer.",
    )
    head_blocks: Literal[1, 4] = field(
        4,
        "Blocks that the head sees",
        "The head sees the patches of the last block, as in the papers of the heads, or those of the last four side by"
        " side, as DINOv2's linear evaluation does: sooner good, hardly slower.",
        "blocks",
    )
    patch_size: Literal[0, 7, 8, 14, 16, 28, 32] = field(
        0,
        "Patch size",
        "Side of a patch; 0 is the encoder's own. For another its weights are resampled, as in FlexiViT: smaller"
        " patches see finer and take more time.",
        "px",
        off=(0,),
    )
    drop_path: float = field(
        0.0,
        "Drop path",
        "Share of residual branches dropped in the last block, fewer in earlier ones.",
        off=(0,),
        ge=0,
        le=0.9,
    )
    grad_checkpointing: bool = field(
        False,
        "Gradient checkpointing",
        "Compute activations again in the backward pass: less memory, a third more time.",
        in_report=False,
    )
    # Networks of transformers
    architecture: str = field(
        "",
        "Architecture",
        "What a network of transformers or an ensemble is built from, as JSON; filled in when it is brought or made.",
        in_report=False,
        max_length=100_000,
    )

    @property
    def encoder_name(self) -> str:
        """The encoder that will be built, with the family's default filled in."""
        return self.encoder or (FAMILIES[self.family].default_encoder if self.family in FAMILIES else "")

    @property
    def members(self) -> "tuple[ModelConfig, ...]":
        """The networks of an ensemble, as its `architecture` lists them. Raises ValueError where it doesn't."""
        listed = parse_json(self.architecture)
        if not isinstance(listed, list):
            raise ValueError("model.architecture of an ensemble is a list of networks.")
        return tuple(ModelConfig.model_validate(values) for values in listed)

    @property
    def class_pairs(self) -> dict[str, str]:
        """What `class_map` says: the trained class of a class, by name; "" for one that starts anew.

        Raises ValueError where it isn't a list of pairs.
        """
        pairs = {}
        for pair in filter(None, (part.strip() for part in re.split(r"[,\n]", self.class_map))):
            name, sign, trained = pair.partition("=")
            if not sign or not name.strip():
                raise ValueError(
                    f"model.class_map says '{pair[:40]}', but a pair is a class of these data, an equals sign, and a"
                    " class of the run: 'rider = person'."
                )
            pairs[name.strip()] = trained.strip()
        return pairs

    @property
    def options(self) -> tuple[str, ...]:
        """The fields that shape this network, besides family, encoder and weights."""
        return options_of(self.family, self.encoder_name, self.dilated_head)

    @property
    def multiple(self) -> int:
        """Pixels that the sides of a picture are padded to a multiple of, see `core.models.base`."""
        if self.family == ENSEMBLE:
            return math.lcm(*(member.multiple for member in self.members))
        if self.encoder_name == PLAIN:
            return 2**self.depth
        patch = re.search(r"patch(\d+)", self.encoder_name)
        if patch and kind_of(self.encoder_name) == "vit":
            return (self.patch_size or int(patch[1])) if self.family == "vit" else 2 * int(patch[1])
        return 32

    @property
    def title(self) -> str:
        """The network's name for people."""
        if self.family == TRANSFORMERS:
            return TRANSFORMERS_TITLES.get(self.encoder, "Transformers")
        if self.family == ENSEMBLE:
            return f"Ensemble of {len(self.members)}"
        family = FAMILIES[self.family]
        variant = "FCN-D6" if self.dilated_head and "dilated_head" in self.options else family.variant
        shown = variant.format(title=family.title, **self.model_dump()) if variant else family.title
        return f"{shown.removesuffix(' linear')} · {encoder_title(self.encoder_name)}"

    @model_validator(mode="after")
    def _comes_from_the_hub(self) -> "ModelConfig":
        if self.family in NOT_TRAINED and not self.architecture:
            raise ValueError(
                f"model.family is '{self.family}', but such a network is brought from the Hub, or put together of runs,"
                f" and can't be asked for. Take one of {', '.join(FAMILIES)}."
            )
        if self.family == ENSEMBLE and len(self.members) < 2:
            raise ValueError("model.architecture of an ensemble lists two networks or more.")
        return self

    @model_validator(mode="after")
    def _carries_classes_of_a_run(self) -> "ModelConfig":
        if self.class_pairs and not self.weights.startswith(OF_RUN):
            raise ValueError(f"model.class_map carries classes of a run over, so model.weights must be '{OF_RUN}ID'.")
        return self

    @model_validator(mode="after")
    def _has_only_its_own_options(self) -> "ModelConfig":
        shared = ("family", "encoder", "weights", "class_map", *self.options)
        for name, detail in ModelConfig.model_fields.items():
            value = getattr(self, name)
            if name not in shared and value != detail.default:
                raise ValueError(
                    f"model.{name} is {value!r}, but {self.title} has no such option. Leave it out; this network's own"
                    f" are {', '.join(self.options) or 'none'}."
                )
        return self

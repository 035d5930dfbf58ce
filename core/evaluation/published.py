"""Scores that others published on Cityscapes, with the settings that they hold for, and the upper bounds of its paper.

Each figure was read in the source that stands beside it; what isn't said there isn't guessed.
`docs/published-scores.md` shows the same rows to people, and says how they were read.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

NOT_REPORTED = "not said"

Scales = Literal["one", "several", "not said"]


@dataclass(frozen=True)
class Source:
    """Where figures were read.

    Attributes:
        name: a paper by its first author, or a project.
        year: of the paper, or in which the project trained it.
        address: of the paper or page.
        location: the table or part in it.
    """

    name: str
    year: int
    address: str
    location: str


@dataclass(frozen=True)
class PublishedScore:
    """One result. Scores are mean IoU over the 19 classes, 0..1.

    Attributes:
        family: of the lab, or "kin" for other networks that they are compared with.
        method: as the source calls it.
        backbone: and what it had learned before, as far as the source says.
        data: which labelled frames it was trained on.
        crop: pixels of a training crop, width x height.
        split: on which it was scored.
        shown: what the network saw at once when it was scored.
        miou: its score.
        scales: at how many scales each frame was shown for that.
        miou_several: another score, where the source gives both: the mean of several scales and their mirrored
            pictures.
        source: where this was read.
    """

    family: Literal["fcn", "unet", "vit", "kin"]
    method: str
    backbone: str
    data: str
    crop: str
    split: Literal["val", "test"]
    shown: str
    miou: float
    scales: Scales
    miou_several: float | None
    source: Source


@dataclass(frozen=True)
class UpperBound:
    """What the truth itself scores, made smaller by the majority of neighbouring pixels and enlarged again.

    0..1 each.
    """

    factor: int
    miou: float
    miiou: float


CITYSCAPES_BOUNDS = Source("Cordts et al.", 2016, "https://arxiv.org/abs/1604.01685", "Table 3, Sec. 3.2")
_CITYSCAPES = Source("Cordts et al.", 2016, "https://arxiv.org/abs/1604.01685", "Table 4, Sec. 3.4")
_MMSEG = "https://github.com/open-mmlab/mmsegmentation/blob/main/configs"
_MMSEG_FCN = Source("MMSegmentation", 2020, f"{_MMSEG}/fcn/README.md", "Cityscapes, 80 000 steps")
_MMSEG_UNET = Source("MMSegmentation", 2021, f"{_MMSEG}/unet/metafile.yaml", "Cityscapes, 160 000 steps")
_MMSEG_SETR = Source("MMSegmentation", 2021, f"{_MMSEG}/setr/README.md", "Cityscapes, 80 000 steps")
_MMSEG_DEEPLAB = Source("MMSegmentation", 2020, f"{_MMSEG}/deeplabv3plus/README.md", "Cityscapes, 80 000 steps")
_PADDLE = Source(
    "PaddleSeg",
    2020,
    "https://github.com/PaddlePaddle/PaddleSeg/blob/develop/configs/unet/README.md",
    "Cityscapes, 160 000 steps",
)
_SETR_VAL = Source("Zheng et al.", 2021, "https://arxiv.org/abs/2012.15840", "Table 6, 80 000 steps")
_SETR_SCRATCH = Source("Zheng et al.", 2021, "https://arxiv.org/abs/2012.15840", "Sec. 4.2, (iv)")
_SETR_TEST = Source("Zheng et al.", 2021, "https://arxiv.org/abs/2012.15840", "Table 7")
_SEGMENTER = Source("Strudel et al.", 2021, "https://github.com/rstrudel/segmenter", "README, Cityscapes")
_SEGFORMER_VAL = Source("Xie et al.", 2021, "https://arxiv.org/abs/2105.15203", "Table 1a, Sec. 4.1")
_SEGFORMER_TEST = Source("Xie et al.", 2021, "https://arxiv.org/abs/2105.15203", "Table 3, Sec. 4.3")
_EOMT = Source("Kerssies et al.", 2025, "https://arxiv.org/abs/2503.19108", "Table 5")
_DEEPLAB_VAL = Source("Chen et al.", 2017, "https://arxiv.org/abs/1706.05587", "Table 12, App. C")
_DEEPLAB_TEST = Source("Chen et al.", 2017, "https://arxiv.org/abs/1706.05587", "Table 13, App. C")
_MASK2FORMER = Source(
    "Mask2Former",
    2022,
    "https://github.com/facebookresearch/Mask2Former/blob/main/MODEL_ZOO.md",
    "Cityscapes, semantic",
)

_TRAIN, _BOTH = "fine train", "fine train + val"
_FULL, _HALVES = "2048 x 1024", "2048 x 1024 in halves"
_C1024, _C768, _C769, _C512 = "1024 x 1024", "768 x 768", "769 x 769", "1024 x 512"


# fmt: off
PUBLISHED: tuple[PublishedScore, ...] = tuple(PublishedScore(*row) for row in (
    ("fcn", "FCN-32s", "VGG-16", _BOTH, _HALVES, "test", _HALVES, 0.613, NOT_REPORTED, None, _CITYSCAPES),
    ("fcn", "FCN-16s", "VGG-16", _BOTH, _HALVES, "test", _HALVES, 0.643, NOT_REPORTED, None, _CITYSCAPES),
    ("fcn", "FCN-8s", "VGG-16", _BOTH, _HALVES, "test", _HALVES, 0.653, NOT_REPORTED, None, _CITYSCAPES),
    ("fcn", "FCN-8s", "VGG-16", _BOTH, _C512, "test", _C512, 0.619, NOT_REPORTED, None, _CITYSCAPES),
    ("fcn", "FCN-8s", "VGG-16", "500 fine", _HALVES, "test", _HALVES, 0.583, NOT_REPORTED, None, _CITYSCAPES),
    ("fcn", "FCN-8s", "VGG-16", "20 000 coarse alone", _HALVES, "test", _HALVES, 0.580, NOT_REPORTED, None, _CITYSCAPES),
    ("fcn", "FCN, stride 8", "ResNet-18", _TRAIN, _C512, "val", _FULL, 0.7111, "one", 0.7291, _MMSEG_FCN),
    ("fcn", "FCN, stride 8", "ResNet-101", _TRAIN, _C512, "val", _FULL, 0.7513, "one", 0.7594, _MMSEG_FCN),
    ("unet", "U-Net", "from scratch", _TRAIN, _C512, "val", _FULL, 0.6910, "one", 0.7105, _MMSEG_UNET),
    ("unet", "U-Net", "none", NOT_REPORTED, _C512, "val", NOT_REPORTED, 0.6500, "one", 0.6689, _PADDLE),
    ("vit", "SETR Naive", "ViT-L", _TRAIN, _C768, "val", "windows", 0.7810, "one", 0.8022, _MMSEG_SETR),
    ("vit", "SETR-PUP", "ViT-L/16, ImageNet", NOT_REPORTED, _C768, "val", "windows", 0.7934, "one", 0.8215, _SETR_VAL),
    ("vit", "SETR-PUP", "ViT/16, from scratch", _TRAIN, _C768, "val", "windows", 0.4227, "one", None, _SETR_SCRATCH),
    ("vit", "SETR-PUP", "ViT-L/16, ImageNet", "fine", _C768, "test", "windows", 0.8108, NOT_REPORTED, None, _SETR_TEST),
    ("vit", "SETR-PUP", "ViT-L/16, ImageNet", "fine + coarse", _C768, "test", "windows", 0.8164, NOT_REPORTED, None, _SETR_TEST),
    ("vit", "Seg-L-Mask/16", "ViT-L/16", NOT_REPORTED, _C768, "val", NOT_REPORTED, 0.791, "one", 0.813, _SEGMENTER),
    ("vit", "EoMT", "ViT-L, DINOv2", NOT_REPORTED, _C1024, "val", "windows", 0.842, NOT_REPORTED, None, _EOMT),
    ("kin", "SegFormer-B0", "MiT-B0, ImageNet", NOT_REPORTED, _C1024, "val", "windows", 0.762, "one", 0.781, _SEGFORMER_VAL),
    ("kin", "SegFormer-B5", "MiT-B5, ImageNet", NOT_REPORTED, _C1024, "val", "windows", 0.824, "one", 0.840, _SEGFORMER_VAL),
    ("kin", "SegFormer-B5", "MiT-B5, ImageNet", _BOTH, _C1024, "test", "windows", 0.822, NOT_REPORTED, None, _SEGFORMER_TEST),
    ("kin", "SegFormer-B5", "MiT-B5, ImageNet, Mapillary", _BOTH, _C1024, "test", "windows", 0.831, NOT_REPORTED, None, _SEGFORMER_TEST),
    ("kin", "DeepLabv3, stride 8", NOT_REPORTED, _TRAIN, _C769, "val", _FULL, 0.7782, "one", 0.7930, _DEEPLAB_VAL),
    ("kin", "DeepLabv3, stride 4", NOT_REPORTED, "fine train + val + coarse", NOT_REPORTED, "test", NOT_REPORTED, 0.813, "several", None, _DEEPLAB_TEST),
    ("kin", "DeepLabV3+, stride 8", "ResNet-101", _TRAIN, _C512, "val", _FULL, 0.8097, "one", 0.8203, _MMSEG_DEEPLAB),
    ("kin", "Mask2Former", "Swin-L, ImageNet-21k", NOT_REPORTED, NOT_REPORTED, "val", _FULL, 0.833, "one", 0.843, _MASK2FORMER),
))
# fmt: on

UPPER_BOUNDS: tuple[UpperBound, ...] = (
    UpperBound(2, 0.972, 0.926),
    UpperBound(4, 0.952, 0.904),
    UpperBound(8, 0.907, 0.828),
    UpperBound(16, 0.846, 0.708),
    UpperBound(32, 0.754, 0.537),
    UpperBound(64, 0.638, 0.351),
    UpperBound(128, 0.506, 0.211),
)
"""Of `CITYSCAPES_BOUNDS`."""


COLUMNS: dict[str, Callable[[PublishedScore], str]] = {
    "method": lambda row: row.method,
    "backbone": lambda row: row.backbone,
    "trained on": lambda row: row.data,
    "crop": lambda row: row.crop,
    "scored on": lambda row: row.split,
    "shown at once": lambda row: row.shown,
    "mIoU": lambda row: percent(row.miou),
    "scales": lambda row: row.scales,
    "several": lambda row: "" if row.miou_several is None else percent(row.miou_several),
    "read in": lambda row: f"[{row.source.name} {row.source.year}]({row.source.address}), {row.source.location}",
}


def scores_table() -> str:
    """Return all rows as a table in Markdown, scores in per cent."""
    return _table(tuple(COLUMNS), (tuple(read(row) for read in COLUMNS.values()) for row in PUBLISHED))


def bounds_table() -> str:
    """Return the upper bounds as a table in Markdown, scores in per cent."""
    return _table(
        ("smaller by", "mIoU", "mean iIoU"),
        ((str(bound.factor), percent(bound.miou), percent(bound.miiou)) for bound in UPPER_BOUNDS),
    )


def percent(score: float) -> str:
    """Return a score 0..1 in per cent with one decimal, or two where it has them."""
    text = f"{100 * score:.2f}"
    return text.removesuffix("0")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ("---",) * len(head), *rows))

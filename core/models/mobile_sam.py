"""MobileSAM: masks of single objects from clicks and boxes.

The Segment Anything model (Kirillov et al., https://arxiv.org/abs/2304.02643) with the small encoder of MobileSAM
(Zhang et al., https://arxiv.org/abs/2306.14289). The encoder is timm's TinyViT, prompt encoder and mask decoder are
those of transformers, an optional extra. It knows no classes: whoever clicks says what the object is.
"""

import re
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from timm.layers import LayerNorm2d
from torch import nn

from core.errors import LabError
from core.extras import check_packages
from core.models.mobile_sam_job import PACKAGES
from core.models.prompts import Prompts

SIDE = 1024
"""Pixels of the longer side at which an image is shown to the encoder."""
STRIDE = 16
"""Pixels of that image a cell of its embedding."""
CHANNELS = 256
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
"""Of ImageNet, on the scale 0..255."""
SPECK = 0.01
"""Of an object, what is smaller than that share is none of its holes or pieces."""

NAMES = (
    (r"^image_encoder\.patch_embed\.seq\.0\.", "encoder.patch_embed.conv1."),
    (r"^image_encoder\.patch_embed\.seq\.2\.", "encoder.patch_embed.conv2."),
    # timm reduces a map at the beginning of a stage, the authors at the end of the one before.
    (r"^image_encoder\.layers\.0\.downsample\.", "encoder.stages.1.downsample."),
    (r"^image_encoder\.layers\.1\.downsample\.", "encoder.stages.2.downsample."),
    (r"^image_encoder\.layers\.2\.downsample\.", "encoder.stages.3.downsample."),
    (r"^image_encoder\.layers\.", "encoder.stages."),
    (r"^image_encoder\.neck\.", "neck."),
    (r"^(encoder\..*)\.c\.", r"\1.conv."),
    (r"^prompt_encoder\.pe_layer\.\w+", "prompts.shared_embedding.positional_embedding"),
    (r"^prompt_encoder\.point_embeddings\.", "prompts.point_embed."),
    (r"^prompt_encoder\.mask_downscaling\.0\.", "prompts.mask_embed.conv1."),
    (r"^prompt_encoder\.mask_downscaling\.1\.", "prompts.mask_embed.layer_norm1."),
    (r"^prompt_encoder\.mask_downscaling\.3\.", "prompts.mask_embed.conv2."),
    (r"^prompt_encoder\.mask_downscaling\.4\.", "prompts.mask_embed.layer_norm2."),
    (r"^prompt_encoder\.mask_downscaling\.6\.", "prompts.mask_embed.conv3."),
    (r"^prompt_encoder\.", "prompts."),
    (r"^mask_decoder\.output_upscaling\.0\.", "decoder.upscale_conv1."),
    (r"^mask_decoder\.output_upscaling\.1\.", "decoder.upscale_layer_norm."),
    (r"^mask_decoder\.output_upscaling\.3\.", "decoder.upscale_conv2."),
    (r"^mask_decoder\.", "decoder."),
    (r"^(decoder\..*)\.norm(\d|_final_attn)\.", r"\1.layer_norm\2."),
    (r"^(decoder\.(?:iou|output)\w+(?:\.\d)?)\.layers\.0\.", r"\1.proj_in."),
    (r"^(decoder\.(?:iou|output)\w+(?:\.\d)?)\.layers\.2\.", r"\1.proj_out."),
    (r"^(decoder\.(?:iou|output)\w+(?:\.\d)?)\.layers\.1\.", r"\1.layers.0."),
)
"""What the authors call a tensor and what it is called here, one after the other."""
UNUSED = re.compile(r"image_encoder\.(head|norm_head)\.")
"""Of the classifier that the encoder once was."""


class Embedding(NamedTuple):
    """What the encoder makes of an image: features float32 (1, 256, h, w) of its `shown` pixels (height, width), and
    the image's own `size`.
    """

    features: torch.Tensor
    shown: tuple[int, int]
    size: tuple[int, int]

    def resized(self, size: tuple[int, int]) -> np.ndarray:
        """Return the features of the image at a size (h, w), float32 (256, h, w)."""
        axes = [
            (torch.arange(side) + 0.5) / side * shown / (cells * STRIDE) * 2 - 1
            for side, shown, cells in zip(size, self.shown, self.features.shape[2:], strict=True)
        ]
        rows, columns = torch.meshgrid(*axes, indexing="ij")
        grid = torch.stack([columns, rows], dim=-1)[None]
        return F.grid_sample(self.features, grid, padding_mode="border", align_corners=False)[0].numpy()


class MobileSam(nn.Module):
    """Encoder, prompt encoder and mask decoder, random weights. Raises LabError where transformers is missing."""

    def __init__(self) -> None:
        super().__init__()
        check_packages("MobileSAM", PACKAGES)
        from transformers import SamConfig
        from transformers.models.sam.modeling_sam import SamMaskDecoder, SamPromptEncoder

        self.encoder = timm.create_model("tiny_vit_5m_224", num_classes=0, global_pool="")
        self.encoder.head = nn.Identity()
        self.encoder.stages[3].downsample.conv2.conv.stride = (1, 1)  # the last map stays at stride 16
        self.neck = nn.Sequential(
            nn.Conv2d(self.encoder.num_features, CHANNELS, 1, bias=False),
            LayerNorm2d(CHANNELS),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False),
            LayerNorm2d(CHANNELS),
        )
        config = SamConfig(attn_implementation="sdpa")
        self.prompts = SamPromptEncoder(config)
        self.decoder = SamMaskDecoder(config.mask_decoder_config)

    @torch.inference_mode()
    def embed(self, image: np.ndarray) -> Embedding:
        """Return what an image, uint8 (H, W, 3), is to the decoder. It isn't padded to a square: that costs time."""
        size = image.shape[:2]
        height, width = (max(1, round(side * SIDE / max(size))) for side in size)
        pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float()
        pixels = F.interpolate(pixels, (height, width), mode="bilinear", antialias=True)
        pixels = (pixels - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)
        pixels = F.pad(pixels, (0, -width % (2 * STRIDE), 0, -height % (2 * STRIDE)))
        return Embedding(self.neck(self.encoder.forward_features(pixels)), (height, width), size)

    @torch.inference_mode()
    def segment(self, embedding: Embedding, prompts: Prompts) -> np.ndarray:
        """Return the object that is meant, bool (H, W).

        Of the masks that one click may mean, part, whole and group, the one of the highest expected IoU.
        """
        height, width = embedding.shown
        extent = torch.tensor([width, height], dtype=torch.float32)
        points = torch.tensor(prompts.points).view(1, 1, -1, 2) * extent
        labels = torch.tensor(prompts.is_in, dtype=torch.int64).view(1, 1, -1)
        box = (torch.tensor(prompts.box).view(1, 1, 4) * extent.repeat(2)) if prompts.box else None
        sparse, dense = self.prompts(points if prompts.points else None, labels, box, None)
        rows, columns = embedding.features.shape[2:]
        is_ambiguous = box is None and len(prompts.points) == 1
        logits, expected = self.decoder(
            image_embeddings=embedding.features,
            image_positional_embeddings=self._positions()[..., :rows, :columns],
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense[..., :rows, :columns],
            multimask_output=is_ambiguous,
        )
        best = logits[:, 0, int(expected[0, 0].argmax())][:, None]
        best = F.interpolate(best, (rows * STRIDE, columns * STRIDE), mode="bilinear")[..., :height, :width]
        return without_specks((F.interpolate(best, embedding.size, mode="bilinear")[0, 0] > 0).numpy())

    def _positions(self) -> torch.Tensor:
        """Return what stands for the place of each cell, float32 (1, 256, 64, 64)."""
        cells = SIDE // STRIDE
        middles = (torch.arange(cells) + 0.5) / cells
        rows, columns = torch.meshgrid(middles, middles, indexing="ij")
        return self.prompts.shared_embedding(torch.stack([columns, rows], dim=-1)).permute(2, 0, 1)[None]


def without_specks(mask: np.ndarray) -> np.ndarray:
    """Return a mask, bool (H, W), without holes and pieces that are small beside it."""
    min_area = SPECK * mask.sum()
    for value in (False, True):
        _, pieces, statistics, _ = cv2.connectedComponentsWithStats((mask == value).astype(np.uint8), connectivity=4)
        is_small = statistics[:, cv2.CC_STAT_AREA] < min_area
        is_small[0] = False  # all that isn't of this value
        mask = mask ^ is_small[pieces]
    return mask


def load_mobile_sam(path: Path) -> MobileSam:
    """Return the network with the authors' weights, from a safetensors file in 16 or 32 bits.

    Raises LabError where the file doesn't hold them, or transformers is missing.
    """
    model = MobileSam()
    try:
        state = {new_name(name): value for name, value in load_file(path).items() if not UNUSED.match(name)}
        model.load_state_dict(state)
    except Exception as error:  # a cut file, other tensors: the library's errors are of many kinds
        raise LabError(
            f"{path.name} holds no weights of MobileSAM ({str(error).splitlines()[0][:120]}). Take it out of the"
            " weights folder, or get it anew."
        ) from None
    return model.eval()


def new_name(name: str) -> str:
    """Return what the lab calls one of the authors' tensors."""
    for pattern, replacement in NAMES:
        name = re.sub(pattern, replacement, name)
    return name

"""What a tutorial does instead of the lab: its networks, its training step, its whole loop. Plain PyTorch in fp32.

    python benchmarks/tutorial.py --family unet --root ROOT --seconds 300 --out weights.safetensors

Frames come through PIL and torchvision's transforms in two loading processes; cross-entropy, Adam at 1e-3, no schedule.
The seconds count from the start of the process. `learning.py` calls this beside the lab's trainer.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import psutil
import segmentation_models_pytorch as smp
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision import tv_tensors
from torchvision.models.segmentation import fcn_resnet50
from torchvision.transforms import v2

from core.config import ModelConfig, read_config
from core.data.dataset import Dataset, open_dataset
from core.labels import IGNORED
from core.models.build import build_model
from core.models.encoders import normalization_of
from core.models.load_weights import load_encoder

LEARNING_RATE = 1e-3
LOADERS = 2


class Normalized(nn.Module):
    """A network of another library behind the lab's contract: images (B, 3, H, W) in 0..1 -> logits (B, K, H, W)."""

    def __init__(self, network: nn.Module, encoder: str) -> None:
        super().__init__()
        self.network = network
        self.normalize = v2.Normalize(*normalization_of(encoder))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits = self.network(self.normalize(images))
        return logits["out"] if isinstance(logits, dict) else logits


def smp_unet(encoder: str, num_classes: int) -> Normalized:
    """Return the U-Net of segmentation_models.pytorch on a timm encoder, random weights."""
    return Normalized(smp.Unet(f"tu-{encoder}", encoder_weights=None, classes=num_classes), encoder)


def torchvision_fcn(num_classes: int) -> Normalized:
    """Return torchvision's FCN on a dilated ResNet-50, random weights, without the auxiliary head."""
    return Normalized(fcn_resnet50(weights=None, weights_backbone=None, num_classes=num_classes), "resnet50")


def build_network(config: ModelConfig, num_classes: int, weights: Path | None = None) -> nn.Module:
    """Return what a tutorial trains for a family: smp's U-Net, or the lab's own FCN or ViT.

    The encoder filled from `weights`.
    """
    if config.family == "unet":
        network = smp_unet(config.encoder_name, num_classes)
        if weights:
            load_encoder(network.network.encoder.model, weights)
        return network
    network = build_model(config, num_classes)
    if weights:
        network.load_pretrained(weights)
    return network


def plain_optimizer(model: nn.Module) -> torch.optim.Optimizer:
    """Adam as it comes."""
    return torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)


def plain_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, images: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Return one step of a tutorial. Images float (B, 3, H, W) in 0..1, targets int64 (B, H, W) -> the mean loss."""
    loss = nn.functional.cross_entropy(model(images), targets, ignore_index=IGNORED)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


class TutorialFrames(TorchDataset):
    """Training frames, decoded anew each time: image float (3, h, w) in 0..1, target int64 (h, w)."""

    def __init__(self, dataset: Dataset, crop: tuple[int, int]) -> None:
        self.dataset = dataset
        self.transform = v2.Compose(
            [
                v2.ToImage(),
                v2.RandomResize(dataset.size[0], 2 * dataset.size[0] + 1),  # of the shorter side: zoomed by 1 to 2
                v2.RandomCrop(crop),
                v2.RandomHorizontalFlip(),
                v2.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3),
                v2.ToDtype({tv_tensors.Image: torch.float32, "others": None}, scale=True),
            ]
        )

    def __len__(self) -> int:
        return len(self.dataset.train)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        frame = self.dataset.train[index]
        target = self.dataset.space.lookup[np.array(Image.open(frame.labels))]
        image, mask = self.transform(Image.open(frame.image).convert("RGB"), tv_tensors.Mask(target))
        return image.as_subclass(torch.Tensor), mask.as_subclass(torch.Tensor).long()


def train_plainly(model: nn.Module, dataset: Dataset, crop: tuple[int, int], batch: int, deadline: float) -> int:
    """Train until `deadline`, in seconds since the epoch; returns how many steps were taken, at least one."""
    loader = DataLoader(
        TutorialFrames(dataset, crop), batch_size=batch, shuffle=True, num_workers=LOADERS, drop_last=True
    )
    optimizer = plain_optimizer(model.train())
    steps = 0
    while True:
        for images, targets in loader:
            plain_step(model, optimizer, images, targets)
            steps += 1
            if time.time() >= deadline:
                return steps


def main() -> None:
    """Train one network until its time is up and write its weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=["fcn", "unet", "vit"], required=True)
    parser.add_argument("--root", required=True, help="folder that holds leftImg8bit and gtFine")
    parser.add_argument("--weights", type=Path, help="safetensors file for the encoder; none starts from scratch")
    parser.add_argument("--seconds", type=float, required=True, help="counted from the start of this process")
    parser.add_argument("--size", type=int, nargs=2, default=(256, 512), help="height and width of a frame")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--out", type=Path, required=True, help="where the weights go")
    options = parser.parse_args()
    deadline = psutil.Process().create_time() + options.seconds
    height, width = options.size
    config = read_config(
        {
            "dataset": {"name": "cityscapes", "root": options.root, "height": height, "width": width},
            "model": {"family": options.family},
        }
    )
    dataset = open_dataset(config.dataset)
    torch.manual_seed(0)
    model = build_network(config.model, len(dataset.space.class_names), options.weights)
    steps = train_plainly(model, dataset, (height * 3 // 4, width * 3 // 4), options.batch, deadline)
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, options.out)
    print(steps)


if __name__ == "__main__":
    main()

"""What a network is made of and what it costs, found by running the module itself, not by knowing its family."""

import statistics
import time

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from core.config import ModelConfig, TrainingConfig
from core.hardware import Hardware, choose_hardware
from core.models.base import SegmentationModel
from core.models.build import build_model
from core.models.diagram_blocks import trace_blocks
from core.models.summary_types import ModelSummary, Part

NUM_CLASSES = 19
MAX_FIELD = 2048
"""Pixels; a receptive field that reaches further is called the whole picture."""
TIMED_RUNS = 5
TIMED_SECONDS = 2.0
MIN_TIMED_RUNS = 3


def describe(
    config: ModelConfig,
    size: tuple[int, int] = (256, 512),
    num_classes: int = NUM_CLASSES,
    hardware: Hardware | None = None,
    num_bands: int = 3,
) -> ModelSummary:
    """Describe the network of a config, with random weights and without training.

    Args:
        config: which network.
        size: height and width of the picture, in pixels.
        num_classes: K.
        hardware: where time is measured; None takes what a training would.
        num_bands: C, the channels of a picture.

    Raises:
        LabError: there is no such network.
    """
    model = build_model(config, num_classes, num_bands)
    parts = tuple(
        Part(
            name,
            sum(parameter.numel() for parameter in child.parameters()),
            sum(parameter.numel() for parameter in child.parameters() if parameter.requires_grad),
        )
        for name, child in model.named_children()
        if any(True for _ in child.parameters())
    )
    model.eval()
    image = torch.rand(1, len(model.mean.flatten()), *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(image)
    blocks = trace_blocks(model, image)
    hardware = hardware or choose_hardware(TrainingConfig())
    hardware.prepare(model)
    image = image.to(hardware.device, memory_format=torch.channels_last)
    stride = output_stride(model, image, hardware)
    activations = activation_bytes(model, image, hardware)
    milliseconds = milliseconds_per_image(model, image, hardware)
    return ModelSummary(
        title=config.title,
        size=size,
        parts=parts,
        flops=counter.get_total_flops(),
        output_stride=stride,
        receptive_field=receptive_field(model),  # the last, since it overwrites the weights
        activation_bytes=activations,
        milliseconds=milliseconds,
        precision=hardware.precision,
        hardware=hardware.sentence,
        blocks=blocks,
    )


def count_parameters(config: ModelConfig, num_classes: int = NUM_CLASSES, num_bands: int = 3) -> int:
    """Return how many parameters a network has, without memory for any. Raises LabError where there is none."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build_model(config, num_classes, num_bands).parameters())


@torch.no_grad()
def output_stride(model: SegmentationModel, image: torch.Tensor, hardware: Hardware) -> float:
    """Return pixels of the padded picture for one of the logits that `segment` gives."""
    below, right = -image.shape[-2] % model.multiple, -image.shape[-1] % model.multiple
    padded = F.pad(image, (0, right, 0, below))
    with hardware.autocast():
        logits = model.segment(padded)
    return padded.shape[-1] / logits.shape[-1]


def activation_bytes(model: SegmentationModel, image: torch.Tensor, hardware: Hardware) -> int:
    """Return bytes that a training step keeps of one picture for its backward pass.

    Parameters and their copies in bf16 don't count.
    """
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    copied = {
        parameter.shape for parameter in model.parameters() if parameter.ndim > 1
    }  # by autocast, once for all pictures
    saved: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own and tensor.shape not in copied:
            saved[storage.data_ptr()] = storage.nbytes()
        return tensor

    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    # Batch normalisation can't do with one number a channel. The logits hold all until it is counted: no address comes
    # twice.
    count = 1 if min(image.shape[-2:]) > model.multiple else 2
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), hardware.autocast():
        logits = model(image.expand(count, -1, -1, -1))
    model.eval()
    model.load_state_dict(state)
    del logits
    return sum(saved.values()) // count


@torch.no_grad()
def milliseconds_per_image(model: SegmentationModel, image: torch.Tensor, hardware: Hardware) -> float:
    """Median time of a prediction, of three or more after one that isn't counted."""
    spent: list[float] = []
    began = time.perf_counter()
    for _ in range(1 + TIMED_RUNS):
        start = time.perf_counter()
        with hardware.autocast():
            model(image).float().sum().item()  # a GPU's work is done only when its result is asked for
        spent.append(time.perf_counter() - start)
        if len(spent) > MIN_TIMED_RUNS and time.perf_counter() - began > TIMED_SECONDS:
            break
    return statistics.median(spent[1:]) * 1000


def receptive_field(model: SegmentationModel) -> int | None:
    """Side in pixels of the square that the middle logit can depend on, whatever the weights; None beyond `MAX_FIELD`.

    Found along the width of a long strip: where the gradient of the middle logit isn't zero. For that the network is
    made linear and positive, so that nothing is switched off and nothing cancels; its weights are lost.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            inputs = max(1, parameter[0].numel()) if parameter.ndim > 1 else 1
            parameter.copy_((torch.rand(parameter.shape, generator=generator) + 0.5) / inputs)
    model.cpu().eval().requires_grad_(False)
    length = MAX_FIELD + 2 * model.multiple - MAX_FIELD % model.multiple
    strip = torch.full((1, len(model.mean.flatten()), model.multiple, length), 0.6, requires_grad=True)
    # oneDNN's Winograd convolutions mix neighbouring tiles: their rounding would make the field look larger.
    with torch.backends.mkldnn.flags(enabled=False), _Linear():
        logits = model(strip)
    logits[0, :, model.multiple // 2, length // 2].sum().backward()
    columns = (strip.grad[0].abs().sum((0, 1)) > 0).nonzero().flatten()
    if not len(columns) or columns[0] == 0 or columns[-1] == length - 1:
        return None
    return int(columns[-1] - columns[0] + 1)


class _Linear(TorchFunctionMode):
    """Activations let everything through, and the largest of a window becomes its mean."""

    def __torch_function__(self, function, types, args=(), kwargs=None):  # noqa: ANN001
        name = getattr(function, "__name__", "").rstrip("_")
        if name in ("relu", "relu6", "hardtanh", "leaky_relu", "elu", "silu", "gelu", "hardswish"):
            return args[0]
        if name == "max_pool2d":
            return F.avg_pool2d(
                *args[:4], **{key: kwargs[key] for key in ("stride", "padding") if key in (kwargs or {})}
            )
        return function(*args, **(kwargs or {}))

"""What a network is made of and what it costs, found by running the module itself, not by knowing its family."""

import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from core.anatomy import Anatomy, Block, Part
from core.config import ModelConfig, TrainingConfig
from core.models import build_model
from core.models.contract import SegmentationModel
from core.training.hardware import Hardware, choose_hardware

CLASSES = 19
LONGEST_FIELD = 2048
"""Pixels; a receptive field that reaches further is called the whole picture."""
TIMED_RUNS = 5
TIMED_SECONDS = 2.0

CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.Sequential)


def describe(
    config: ModelConfig, size: tuple[int, int] = (256, 512), classes: int = CLASSES, hardware: Hardware | None = None
) -> Anatomy:
    """Describes the network of a config, with random weights and without training.

    Args:
        config: which network.
        size: height and width of the picture, in pixels.
        classes: K.
        hardware: where time is measured; None takes what a training would.

    Raises:
        LabError: there is no such network.
    """
    model = build_model(config, classes)
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
    return Anatomy(
        title=config.title,
        size=size,
        parts=parts,
        flops=counter.get_total_flops(),
        output_stride=stride,
        receptive_field=receptive_field(build_model(config, classes)),
        activation_bytes=activations,
        milliseconds=milliseconds,
        precision=hardware.precision,
        hardware=hardware.sentence,
        blocks=blocks,
    )


@torch.no_grad()
def output_stride(model: SegmentationModel, image: torch.Tensor, hardware: Hardware) -> float:
    """Pixels of the padded picture for one of the logits that `segment` gives."""
    below, right = -image.shape[-2] % model.multiple, -image.shape[-1] % model.multiple
    padded = F.pad(image, (0, right, 0, below))
    with hardware.autocast():
        logits = model.segment(padded)
    return padded.shape[-1] / logits.shape[-1]


def activation_bytes(model: SegmentationModel, image: torch.Tensor, hardware: Hardware) -> int:
    """Bytes that autograd keeps from the forward pass of a training step for its backward pass, parameters not counted."""
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.train()
    # Two pictures, since batch normalisation can't do with one; held until all is counted, so that no address comes twice.
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), hardware.autocast():
        logits = model(torch.cat([image, image]))
    model.eval()
    model.load_state_dict(state)
    del logits
    return sum(kept.values()) // 2


@torch.no_grad()
def milliseconds_per_image(model: SegmentationModel, image: torch.Tensor, hardware: Hardware) -> float:
    """Median time of a prediction, after one that isn't counted."""
    spent: list[float] = []
    began = time.perf_counter()
    for _ in range(1 + TIMED_RUNS):
        start = time.perf_counter()
        with hardware.autocast():
            model(image).float().sum().item()  # a GPU's work is done only when its result is asked for
        spent.append(time.perf_counter() - start)
        if len(spent) > 1 and time.perf_counter() - began > TIMED_SECONDS:
            break
    return statistics.median(spent[1:]) * 1000


def receptive_field(model: SegmentationModel) -> int | None:
    """Side in pixels of the square that the middle logit can depend on, whatever the weights; None beyond `LONGEST_FIELD`.

    Found along the width of a long strip: where the gradient of the middle logit isn't zero. For that the network is made
    linear and positive, so that nothing is switched off and nothing cancels; its weights are lost.
    """
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            inputs = max(1, parameter[0].numel()) if parameter.ndim > 1 else 1
            parameter.copy_((torch.rand(parameter.shape, generator=generator) + 0.5) / inputs)
    model.eval().requires_grad_(False)
    length = LONGEST_FIELD + 2 * model.multiple - LONGEST_FIELD % model.multiple
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


# ---- the diagram


@torch.no_grad()
def trace_blocks(model: SegmentationModel, image: torch.Tensor) -> tuple[Block, ...]:
    """Runs the network once and notes for each of its modules what came in and what came out."""
    found: list[Block] = []
    sources: dict[int, frozenset[int]] = {}
    channels_last = getattr(model.encoder, "output_fmt", "NCHW") == "NHWC"
    grid = patch_grid(model, image)
    alive: list[torch.Tensor] = []  # an address means something only while its tensor lives

    def sources_of(things: object) -> frozenset[int]:
        return frozenset().union(*(sources.get(id(tensor), frozenset()) for tensor in _tensors(things)))

    def mark(things: object, origin: frozenset[int]) -> None:
        for tensor in _tensors(things):
            sources[id(tensor)] = origin
            alive.append(tensor)

    class Follow(TorchFunctionMode):
        """What comes out of any function between two blocks stems from what went in."""

        def __torch_function__(self, function, types, args=(), kwargs=None):  # noqa: ANN001
            result = function(*args, **(kwargs or {}))
            mark(result, sources_of((args, kwargs)))
            return result

    inputs: dict[nn.Module, frozenset[int]] = {}

    def enter(module: nn.Module, args: object, kwargs: object) -> None:
        inputs[module] = sources_of((args, kwargs))

    def leave(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, _args: object, _kwargs: object, result: object) -> None:
            tensor = next(iter(_tensors(result)))
            found.append(
                _block(name, module, tensor, inputs[module], grid, channels_last and name.startswith("encoder."))
            )
            mark(result, frozenset({len(found) - 1}))

        return hook

    with ExitStack() as stack:
        for name, module in leaves(model):
            stack.callback(module.register_forward_pre_hook(enter, with_kwargs=True).remove)
            stack.callback(module.register_forward_hook(leave(name), with_kwargs=True).remove)
        mark(image, frozenset({-1}))
        stack.enter_context(Follow())
        ends = sources_of(model(image))
    if ends != {len(found) - 1}:  # scores of several strides, summed
        last = found[-1]
        shape = (last.channels, last.height, last.width)
        found.append(Block("logits", "Sum", "logits", 1, *shape, 0, tuple(sorted(ends))))
    return merge_rows(found)


def patch_grid(model: SegmentationModel, image: torch.Tensor) -> tuple[int, int] | None:
    """Rows and columns of a ViT's patches, padding included; None for an encoder without patches."""
    patch = getattr(getattr(model.encoder, "patch_embed", None), "patch_size", None)
    if patch is None:
        return None
    height, width = (-(-size // model.multiple) * model.multiple for size in image.shape[-2:])
    return height // patch[0], width // patch[1]


def leaves(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The modules that a diagram shows as boxes: lists and the encoder are opened, anything else is one box."""
    found = []

    def open_up(prefix: str, module: nn.Module) -> None:
        for name, child in module.named_children():
            path = f"{prefix}{name}"
            if isinstance(child, CONTAINERS) or path == "encoder":
                open_up(f"{path}.", child)
            else:
                found.append((path, child))

    open_up("", model)
    return found


def merge_rows(blocks: list[Block]) -> tuple[Block, ...]:
    """Blocks that only continue the one before them, at the same channels and size, become one box with it.

    Also a normalisation or activation behind a convolution, whatever its class: it continues it.
    """
    users = [sum(number in block.inputs for block in blocks) for number in range(len(blocks))]
    merged: list[Block] = []
    place: dict[int, int] = {-1: -1}
    for number, block in enumerate(blocks):
        before = blocks[number - 1] if number else None
        continues = (
            before is not None
            and block.inputs == (number - 1,)
            and users[number - 1] == 1
            and "Pool" not in before.kind
            and (block.part, block.channels, block.height, block.width)
            == (before.part, before.channels, before.height, before.width)
        )
        if continues:
            last = merged[-1]
            kinds = last.kind.split(" + ")
            kind = last.kind if block.kind in kinds else " + ".join([*kinds, block.kind])
            merged[-1] = Block(
                last.name, kind, last.part, last.modules + 1, last.channels, last.height, last.width,
                last.parameters + block.parameters, last.inputs,
            )  # fmt: skip
        else:
            inputs = tuple(sorted({place[source] for source in block.inputs}))
            merged.append(
                Block(
                    block.name, block.kind, block.part, block.modules, block.channels, block.height, block.width,
                    block.parameters, inputs,
                )
            )  # fmt: skip
        place[number] = len(merged) - 1
    return tuple(merged)


def _block(
    name: str,
    module: nn.Module,
    result: torch.Tensor,
    inputs: frozenset[int],
    grid: tuple[int, int] | None,
    channels_last: bool,
) -> Block:
    if result.ndim == 4:
        channels, height, width = result.shape[1:]
        if channels_last or getattr(module, "output_fmt", "NCHW") == "NHWC":
            height, width, channels = result.shape[1:]
    else:
        # Tokens (B, N, C), of which class and register tokens have no place in the grid.
        tokens, channels = result.shape[-2:]
        height, width = grid or (1, tokens)
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return Block(
        name, type(module).__name__, name.split(".")[0], 1, channels, height, width, parameters, tuple(sorted(inputs))
    )


def _tensors(things: object) -> list[torch.Tensor]:
    if isinstance(things, torch.Tensor):
        return [things]
    if isinstance(things, dict):
        things = things.values()
    if isinstance(things, list | tuple) or type(things).__name__ == "dict_values":
        return [tensor for thing in things for tensor in _tensors(thing)]
    return []

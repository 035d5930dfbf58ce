"""What a description of a network says, known without torch: its parts, what they cost, and the blocks of its
diagram.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A part of a network by its name in the code, `encoder` or `ups`, and how many of its parameters there are and
    learn.
    """

    name: str
    parameters: int
    trainable: int


@dataclass(frozen=True)
class Block:
    """One box of a diagram: a module, or several equal ones in a row.

    Attributes:
        name: the module's path in the network, `encoder.layer1`; of the first where there are several.
        kind: its class, `Conv2d`; of several unlike ones, the classes joined.
        part: the first word of the path: `encoder`, `ups`, `head`.
        modules: how many modules it stands for.
        channels: of what comes out.
        height: of what comes out, in cells.
        width: of what comes out, in cells.
        parameters: of all its modules.
        inputs: numbers of the blocks whose output goes in; -1 is the picture.
    """

    name: str
    kind: str
    part: str
    modules: int
    channels: int
    height: int
    width: int
    parameters: int
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class ModelSummary:
    """A network described without training it.

    Attributes:
        title: as a person would call it.
        size: height and width of the picture that it is described at.
        parts: in the order of the code.
        flops: floating-point operations of one forward pass on one picture; a multiplication and an addition count as
            two.
        output_stride: pixels of the picture for one logit, before the last interpolation.
        receptive_field: side in pixels of the square that the middle logit can depend on; None where that is the whole
            picture.
        activation_bytes: kept for the backward pass of a training step, for one picture, in `precision`.
        milliseconds: of one prediction, measured here.
        precision: fp32 or bf16, in which both were measured.
        hardware: a sentence about where.
        blocks: of the diagram, in the order in which they are computed; the last one gives the logits.
    """

    title: str
    size: tuple[int, int]
    parts: tuple[Part, ...]
    flops: int
    output_stride: float
    receptive_field: int | None
    activation_bytes: int
    milliseconds: float
    precision: str
    hardware: str
    blocks: tuple[Block, ...]

    @property
    def parameters(self) -> int:
        """Of all parts."""
        return sum(part.parameters for part in self.parts)

"""The losses, class weightings, optimizers and schedules on offer, each a line of a table that loads no torch.

Form, command line, checks, training, report and tests read these tables. To add a member, write its function in a file
of its own and a line here; docs/house.md shows it for a loss.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

RULES = 2
"""Raised when a run of the same config would learn otherwise. A run keeps those that it began by, see
`core.training.plan.Plan`.

1 took the median frequency of classes over all images, the encoder's rate by the family, its last block's rate for
undiminished by `layer_decay`, and Dice and Jaccard over absent classes too, and decayed Swin's terms of attention.
"""


@dataclass(frozen=True)
class Entry:
    """A member of a table.

    Attributes:
        title: its name within a sentence of a report, "the focal loss".
        builder: "module:name" of what is called; torch is imported no earlier than that.
        paper: key in `core.papers`, or empty.
        options: fields of `TrainingConfig` that it reads, and that have no say without it.
        defaults: what fields are with it where nothing else is asked for, unlike the rest of its table.
    """

    title: str
    builder: str
    paper: str = ""
    options: tuple[str, ...] = ()
    defaults: tuple[tuple[str, float], ...] = ()

    def load(self) -> Any:
        """Import and return what `builder` names."""
        module, _, name = self.builder.partition(":")
        return getattr(import_module(module), name)


LOSSES: dict[str, Entry] = {
    "cross-entropy": Entry(
        "cross-entropy", "core.training.losses:cross_entropy", options=("class_weights", "label_smoothing")
    ),
    "focal": Entry("the focal loss", "core.training.losses:focal", "lin2017focal", ("class_weights",)),
    "ohem": Entry(
        "cross-entropy of the hardest pixels",
        "core.training.losses:ohem",
        "shrivastava2016ohem",
        ("class_weights", "label_smoothing"),
    ),
    "dice": Entry("the Dice loss", "core.training.losses:dice", "milletari2016vnet"),
    "jaccard": Entry("the Jaccard loss", "core.training.losses:jaccard"),
    "lovasz": Entry("the Lovász-softmax loss", "core.training.losses:lovasz", "berman2018lovasz"),
}
"""`builder(logits, targets, weights, training)` returns the mean loss, a scalar.

See `core.training.losses.LossFunction`.
"""

CLASS_WEIGHTINGS: dict[str, Entry] = {
    "sqrt": Entry(
        "one over the square root of the class's share of the training pixels",
        "core.training.class_weights:inverse_square_root",
    ),
    "median": Entry(
        "median frequency balancing", "core.training.class_weights:median_frequency", "eigen2015predicting"
    ),
    "enet": Entry(
        "one over the logarithm of 1.02 plus the class's share", "core.training.class_weights:enet", "paszke2016enet"
    ),
    "none": Entry("no weights", "core.training.class_weights:uniform"),
}
"""`builder(shares, frequencies)` returns a weight for each class that occurs, float64 (K,), from its share of all
pixels and from its share of those of the images that show it, both above 0.
"""

OPTIMIZERS: dict[str, Entry] = {
    "adamw": Entry("AdamW", "torch.optim:AdamW", "loshchilov2019adamw"),
    "adam": Entry("Adam", "torch.optim:Adam", "kingma2015adam"),
    "adamax": Entry("Adamax", "torch.optim:Adamax", "kingma2015adam"),
    "sgd": Entry(
        "stochastic gradient descent with momentum",
        "torch.optim:SGD",
        options=("momentum",),
        defaults=(("learning_rate", 0.01), ("weight_decay", 5e-4)),
    ),
}
"""`builder(groups, lr=..., **options)` returns a torch optimizer; its options go by the same names as in the config.
The defaults of SGD are those of MMSegmentation's schedules for Cityscapes.
"""

SCHEDULES: dict[str, Entry] = {
    "one-cycle": Entry(
        "goes up over the first quarter of the steps and down over the rest, in one cycle",
        "core.training.schedule:one_cycle",
        "smith2017superconvergence",
    ),
    "polynomial": Entry(
        "falls polynomially", "core.training.schedule:polynomial", "chen2018deeplab", ("warmup_fraction", "power")
    ),
    "cosine": Entry(
        "falls along a cosine", "core.training.schedule:cosine", "loshchilov2017sgdr", ("warmup_fraction",)
    ),
    "step": Entry(
        "falls in steps", "core.training.schedule:staircase", "", ("warmup_fraction", "gamma", "gamma_epochs")
    ),
    "constant": Entry("stays the same", "core.training.schedule:constant", "", ("warmup_fraction",)),
}
"""`builder(training, progress, epochs)` returns the share of the highest rate, (0, 1], at a progress 0..1 of what
follows the warm-up, after so many passes over the data. One that reads `warmup_fraction` is preceded by a linear
rise.
"""


def readers_of(option: str, table: dict[str, Entry]) -> tuple[str, ...]:
    """Return the members of a table that read an option."""
    return tuple(name for name, entry in table.items() if option in entry.options)

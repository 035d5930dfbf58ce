"""Architectures: each configured network, drawn from its own modules, with its numbers and what its options mean."""

from core.models.encoder_table import encoder_title
from core.models.explanations import FAMILY_EXPLANATIONS, PYRAMID_ON_VIT, Explanation, explanation
from core.report.network import network_alt, network_figure
from core.report.phrases import cite, derived, joined, note, paragraph, text, with_best_in_columns, words_cell
from core.report.references import KEY_BY_ARXIV
from core.report.report_data import Form, Material, Subject, each_once, listed
from core.report.structure import Block, Cell, Figure, Number, Section, Table, Text

MILLIONS = Form(1e-6, 2)
GIGA = Form(1e-9, 1)
PIXELS = Form(1, 0)


def architectures(material: Material) -> list[Section]:
    """The section, with a part for each network."""
    distinct = each_once(material.subjects, lambda subject: _network_key(subject))
    sections = [
        Section(
            f"network-{number}",
            subject.config.model.title,
            tuple(_network(material, subject, number)),
            level=2,
        )
        for number, subject in enumerate(distinct, start=1)
    ]
    blocks: list[Block] = [
        paragraph(
            "Drawn from the modules that were trained: the picture is at the left, the scores of the classes at the right, and the "
            "lower a box stands, the coarser is its map. Bars that stand together are equal modules in a row; below each box are its "
            "channels and its width and height in cells. Coloured lines skip over what lies between."
        ),
        _numbers(distinct),
    ]
    return [Section("architectures", "Architectures", tuple(blocks)), *sections]


def _network_key(subject: Subject) -> tuple[object, ...]:
    dataset = subject.config.dataset
    return subject.config.model, len(subject.run.classes), dataset.height, dataset.width


def _numbers(subjects: list[Subject]) -> Table:
    rows = [
        (
            _computed(subject, "parameters", MILLIONS),
            _part(subject, "encoder"),
            _computed(subject, "flops", GIGA),
            _computed(subject, "output_stride", Form(1, 1)),
            _computed(subject, "receptive_field", PIXELS),
        )
        for subject in subjects
    ]
    marked = with_best_in_columns(rows, ("low", "", "low", "low", ""))
    heads = (
        "network",
        "parameters, M",
        "of the encoder, M",
        "GFLOP a frame",
        "px for one score",
        "receptive field, px",
    )
    table = []
    for subject, cells in zip(subjects, marked, strict=True):
        if subject.anatomy and subject.anatomy.receptive_field is None:
            cells[-1] = words_cell("whole frame")
        dataset = subject.config.dataset
        table.append((Cell((f"{subject.config.model.title}, {dataset.width} × {dataset.height}",)), *cells))
    caption = (
        "The networks at the size at which frames are read; a multiplication and an addition count as two operations. The fewest "
        "of each are in bold.",
    )
    return Table("networks", caption, heads, tuple(table))


def _computed(subject: Subject, name: str, form: Form) -> Number | None:
    value = getattr(subject.anatomy, name, None)
    return None if value is None else derived(value, form, f"network {subject.run.id}/config.json:{name}")


def _part(subject: Subject, name: str) -> Number | None:
    part = next((part for part in subject.anatomy.parts if part.name == name), None) if subject.anatomy else None
    if part is None:
        return None
    return derived(part.parameters, MILLIONS, f"network {subject.run.id}/config.json:parts/{name}")


def _network(material: Material, subject: Subject, number: int) -> list[Block]:
    users = [other.label for other in material.subjects if _network_key(other) == _network_key(subject)]
    blocks: list[Block] = [
        paragraph(_said(FAMILY_EXPLANATIONS.get(subject.config.model.family))),
        *_options(subject),
    ]
    if users != [subject.config.model.title]:
        blocks.append(paragraph(f"Trained as {listed(users)}."))
    if subject.anatomy is None:
        blocks.append(note("This network can't be built here any more, so it isn't drawn."))
    else:
        blocks.append(
            Figure(
                f"drawing-{number}",
                text(
                    subject.config.model.title,
                    ": ",
                    joined([_part_words(subject, part.name) for part in subject.anatomy.parts]),
                    ".",
                ),
                network_figure(subject.anatomy),
                network_alt(subject.anatomy),
            )
        )
    return blocks


def _part_words(subject: Subject, name: str) -> Text:
    return text(f"{name} ", _part(subject, name), " M")


def _options(subject: Subject) -> list[Block]:
    """What the encoder is and what the options that were chosen mean, those that have something to say."""
    model = subject.config.model
    said: list[Text] = []
    encoder = explanation("encoder", model.encoder_name, model.family)
    if encoder:
        said.append(text(f"The encoder is {encoder_title(model.encoder_name)}. ", _said(encoder)))
    if model.family == "unet" and model.encoder_name.startswith("vit"):
        said.append(_said(PYRAMID_ON_VIT))
    for name in model.options:
        value = getattr(model, name)
        found = explanation(name, value, model.family)
        if found and (name in _ALWAYS or value != type(model).model_fields[name].default):
            said.append(text(f"{name.replace('_', ' ').capitalize()} {_value(value)}: ", _said(found)))
    return [paragraph(words) for words in said]


_ALWAYS = ("stride", "head", "score_levels", "upsample")


def _value(value: object) -> str:
    return (
        "on" if value is True else "off" if value is False else f"{value:g}" if isinstance(value, float) else str(value)
    )


def _said(found: Explanation | None) -> Text:
    """An explanation with its paper behind it."""
    if found is None:
        return ()
    key = KEY_BY_ARXIV.get(found.paper.arxiv) if found.paper else None
    return text(found.text.rstrip("."), cite(key) if key else (), ".")

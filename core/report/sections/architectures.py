"""Architectures: each configured network, drawn from its own modules, with its numbers and what its options mean."""

from core.models.encoder_table import encoder_title
from core.models.explanations import PYRAMID_ON_VIT, Explanation, explanation
from core.models.families import FAMILIES
from core.papers import KEY_BY_ARXIV
from core.report.network import network_alt, network_figure
from core.report.phrases import cite, derived, joined, note, paragraph, text, text_cell, with_best_in_columns
from core.report.report_data import NumberFormat, ReportData, RunSummary, each_once
from core.report.structure import Block, Cell, Figure, Number, Section, Table, Text
from core.text import join_words

MILLIONS = NumberFormat(1e-6, 2)
GIGA = NumberFormat(1e-9, 1)
PIXELS = NumberFormat(1, 0)


def architectures(data: ReportData) -> list[Section]:
    """Return the section, with a part for each network."""
    distinct = each_once(data.summaries, lambda summary: _network_key(summary))
    sections = [
        Section(
            f"network-{index}",
            summary.config.model.title,
            tuple(_network(data, summary, index)),
            level=2,
        )
        for index, summary in enumerate(distinct, start=1)
    ]
    blocks: list[Block] = [
        paragraph(
            "Drawn from the modules that were trained: the picture is at the left, the scores of the classes at the right, and the "
            "lower a box stands, the coarser is its map. Bars that stand together are equal modules in a row; below each box are its "
            "channels and its width and height in cells. Coloured lines skip over what lies between."
        ),
        _size_table(distinct),
    ]
    return [Section("architectures", "Architectures", tuple(blocks)), *sections]


def _network_key(summary: RunSummary) -> tuple[object, ...]:
    dataset = summary.config.dataset
    return summary.config.model, len(summary.run.class_names), dataset.height, dataset.width


def _size_table(summaries: list[RunSummary]) -> Table:
    rows = [
        (
            _computed(summary, "parameters", MILLIONS),
            _part(summary, "encoder"),
            _computed(summary, "flops", GIGA),
            _computed(summary, "output_stride", NumberFormat(1, 1)),
            _computed(summary, "receptive_field", PIXELS),
        )
        for summary in summaries
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
    for summary, cells in zip(summaries, marked, strict=True):
        if summary.model_summary and summary.model_summary.receptive_field is None:
            cells[-1] = text_cell("whole frame")
        dataset = summary.config.dataset
        table.append((Cell((f"{summary.config.model.title}, {dataset.width} × {dataset.height}",)), *cells))
    caption = (
        "The networks at the size at which frames are read; a multiplication and an addition count as two operations. The fewest "
        "of each are in bold.",
    )
    return Table("networks", caption, heads, tuple(table))


def _computed(summary: RunSummary, name: str, form: NumberFormat) -> Number | None:
    value = getattr(summary.model_summary, name, None)
    return None if value is None else derived(value, form, f"network {summary.run.id}/config.json:{name}")


def _part(summary: RunSummary, name: str) -> Number | None:
    part = (
        next((part for part in summary.model_summary.parts if part.name == name), None)
        if summary.model_summary
        else None
    )
    if part is None:
        return None
    return derived(part.parameters, MILLIONS, f"network {summary.run.id}/config.json:parts/{name}")


def _network(data: ReportData, summary: RunSummary, position: int) -> list[Block]:
    users = [other.label for other in data.summaries if _network_key(other) == _network_key(summary)]
    blocks: list[Block] = [
        paragraph(_explanation_text(_family_explanation(summary.config.model.family))),
        *_options(summary),
    ]
    if users != [summary.config.model.title]:
        blocks.append(paragraph(f"Trained as {join_words(users)}."))
    if summary.model_summary is None:
        blocks.append(note("This network can't be built here any more, so it isn't drawn."))
    else:
        blocks.append(
            Figure(
                f"drawing-{position}",
                text(
                    summary.config.model.title,
                    ": ",
                    joined([_part_text(summary, part.name) for part in summary.model_summary.parts]),
                    ".",
                ),
                network_figure(summary.model_summary),
                network_alt(summary.model_summary),
            )
        )
    return blocks


def _part_text(summary: RunSummary, name: str) -> Text:
    return text(f"{name} ", _part(summary, name), " M")


def _options(summary: RunSummary) -> list[Block]:
    """Return what the encoder is and what the options that were chosen mean, those that have something to say."""
    model = summary.config.model
    sentences: list[Text] = []
    encoder = explanation("encoder", model.encoder_name, model.family)
    if encoder:
        sentences.append(text(f"The encoder is {encoder_title(model.encoder_name)}. ", _explanation_text(encoder)))
    if model.family == "unet" and model.encoder_name.startswith("vit"):
        sentences.append(_explanation_text(PYRAMID_ON_VIT))
    for name in model.options:
        value = getattr(model, name)
        result = explanation(name, value, model.family)
        if result and (name in _ALWAYS or value != type(model).model_fields[name].default):
            sentences.append(
                text(f"{name.replace('_', ' ').capitalize()} {_value(value)}: ", _explanation_text(result))
            )
    return [paragraph(sentence) for sentence in sentences]


_ALWAYS = ("stride", "head", "score_levels", "upsample")


def _value(value: object) -> str:
    return (
        "on" if value is True else "off" if value is False else f"{value:g}" if isinstance(value, float) else str(value)
    )


def _explanation_text(explanation: Explanation | None) -> Text:
    """Return an explanation with its paper behind it."""
    if explanation is None:
        return ()
    key = KEY_BY_ARXIV.get(explanation.paper.arxiv) if explanation.paper else None
    return text(explanation.text.rstrip("."), cite(key) if key else (), ".")


def _family_explanation(family: str) -> Explanation | None:
    return FAMILIES[family].explanation if family in FAMILIES else None

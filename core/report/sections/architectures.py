"""Architectures: each configured network, drawn from its own modules, with its numbers and what its options mean."""

from collections.abc import Iterator
from dataclasses import replace

from core.models.encoder_table import encoder_title
from core.models.explanations import PYRAMID_ON_VIT, Explanation, explanation
from core.models.families import FAMILIES
from core.papers import KEY_BY_ARXIV
from core.report.network import network_alt, network_figure
from core.report.phrases import Column, Content, cite, derived, joined, note, paragraph, table_of_runs, text
from core.report.report_data import NumberFormat, ReportData, RunSummary, each_once
from core.report.structure import Block, Figure, Number, Section, Table, Text
from core.text import join_items

MILLIONS = NumberFormat(1e-6, 2)
GIGA = NumberFormat(1e-9, 1)
PIXELS = NumberFormat(1, 0)


def architectures(data: ReportData) -> list[Section]:
    """Return the section, with a part for each network."""
    distinct = each_once(data.summaries, _network_key)
    introduction = paragraph(
        "Drawn from the modules that were trained: the picture is at the left, the scores of the classes at the right,"
        " and the lower a box stands, the coarser is its map. Bars that stand together are equal modules in a row;"
        " below each box are its channels and its width and height in cells. Coloured lines skip over what lies"
        " between."
    )
    parts = [
        Section(f"network-{index}", summary.config.model.title, tuple(_network(data, summary, index)), level=2)
        for index, summary in enumerate(distinct, start=1)
    ]
    return [Section("architectures", "Architectures", (introduction, _size_table(distinct))), *parts]


def _network_key(summary: RunSummary) -> tuple[object, ...]:
    return summary.config.model, len(summary.run.class_names), summary.config.shown_size


def _size_table(summaries: list[RunSummary]) -> Table:
    def receptive_field(summary: RunSummary) -> Content:
        if summary.model_summary and summary.model_summary.receptive_field is None:
            return "whole frame"
        return _computed(summary, "receptive_field", PIXELS)

    columns: tuple[Column, ...] = (
        ("parameters, M", lambda summary: _computed(summary, "parameters", MILLIONS), "low"),
        ("of the encoder, M", lambda summary: _part(summary, "encoder"), ""),
        ("GFLOP a frame", lambda summary: _computed(summary, "flops", GIGA), "low"),
        ("px for one score", lambda summary: _computed(summary, "output_stride", NumberFormat(1, 1)), "low"),
        ("receptive field, px", receptive_field, ""),
    )
    caption = (
        (
            "The networks at the size at which they see whole frames; a multiplication and an addition count as two"
            " operations. The fewest of each are in bold."
        ),
    )
    sized = [
        replace(summary, label=f"{summary.config.model.title}, {width} × {height}")
        for summary in summaries
        for height, width in (summary.config.shown_size,)
    ]
    return table_of_runs("networks", caption, "network", sized, columns)


def _computed(summary: RunSummary, name: str, number_format: NumberFormat) -> Number | None:
    value = getattr(summary.model_summary, name, None)
    return None if value is None else derived(value, number_format, f"network {summary.run.id}/config.json:{name}")


def _part(summary: RunSummary, name: str) -> Number | None:
    parts = summary.model_summary.parts if summary.model_summary else ()
    parameters = next((part.parameters for part in parts if part.name == name), None)
    if parameters is None:
        return None
    return derived(parameters, MILLIONS, f"network {summary.run.id}/config.json:parts/{name}")


def _network(data: ReportData, summary: RunSummary, position: int) -> Iterator[Block]:
    model = summary.config.model
    family = FAMILIES[model.family].explanation if model.family in FAMILIES else None
    yield paragraph(_explanation_text(family))
    yield from _options(summary)
    users = [other.label for other in data.summaries if _network_key(other) == _network_key(summary)]
    if users != [model.title]:
        yield paragraph(f"Trained as {join_items(users)}.")
    network = summary.model_summary
    if network is None:
        yield note("This network can't be built here any more, so it isn't drawn.")
    else:
        parts = joined([text(f"{part.name} ", _part(summary, part.name), " M") for part in network.parts])
        caption = text(model.title, ": ", parts, ".")
        yield Figure(f"drawing-{position}", caption, network_figure(network), network_alt(network))


def _options(summary: RunSummary) -> Iterator[Block]:
    """Say what the encoder is and what the options that were chosen mean, those that have something to say."""
    model = summary.config.model
    encoder = explanation("encoder", model.encoder_name, model.family)
    if encoder:
        yield paragraph(f"The encoder is {encoder_title(model.encoder_name)}. ", _explanation_text(encoder))
    if model.family == "unet" and model.encoder_name.startswith("vit"):
        yield paragraph(_explanation_text(PYRAMID_ON_VIT))
    for name in model.options:
        value = getattr(model, name)
        meaning = explanation(name, value, model.family)
        if meaning and (name in _ALWAYS or value != type(model).model_fields[name].default):
            yield paragraph(f"{name.replace('_', ' ').capitalize()} {_value(value)}: ", _explanation_text(meaning))


_ALWAYS = ("stride", "head", "score_levels", "upsample")


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _explanation_text(explanation: Explanation | None) -> Text:
    """Return an explanation with its paper behind it."""
    if explanation is None:
        return ()
    key = KEY_BY_ARXIV.get(explanation.paper.arxiv) if explanation.paper else None
    return text(explanation.text.rstrip("."), cite(key) if key else (), ".")

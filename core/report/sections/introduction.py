"""Introduction: the task, and the facts of the data: splits, cities, class shares, examples."""

from collections.abc import Iterator

from core.data.sources import SOURCES
from core.labels import CITYSCAPES_19
from core.report.figures import shares_figure
from core.report.phrases import capitalized, cells, cite, columns_of, joined, note, paragraph, spell_count, text
from core.report.report_data import PERCENT, Group, NumberFormat, ReportData, RunSummary
from core.report.structure import Block, Figure, ImageGrid, Ref, Section, Table, Text
from core.text import join_items

OFFICIAL_VAL_FRAMES = 500
"""Frames of the official validation split of Cityscapes."""
NO_FOLDER = "in no folder"
RARE = 0.01
"""A class of a smaller share of the training pixels is called rare."""
PLENTY = NumberFormat(100, 2, "%")


def introduction(data: ReportData) -> list[Section]:
    """Return the section, with a part for each group of runs where there are several."""
    if len(data.groups) == 1:
        return [Section("introduction", "Introduction", (_task(data), *_data(data, data.groups[0])))]
    apart = paragraph(
        f"They fall into {spell_count(len(data.groups), 'group')} that can't be compared with each other, because"
        " they learned from other data or tell other classes apart: ",
        joined([(join_items(columns_of(group.summaries)),) for group in data.groups], "; and"),
        ". Each group has tables of its own.",
    )
    parts = [
        Section(f"data-{group.number}", f"Data of group {group.number}", tuple(_data(data, group)), level=2)
        for group in data.groups
    ]
    return [Section("introduction", "Introduction", (_task(data), apart)), *parts]


def rare_classes(summary: RunSummary) -> list[int]:
    """Return numbers of the classes of less than `RARE` of the training pixels, the rarest first.

    Of classes that occur.
    """
    pixels = summary.read("plan.json", "/class_pixels") or []
    total = sum(pixels)
    rare = [index for index, count in enumerate(pixels) if total and 0 < count / total < RARE]
    return sorted(rare, key=lambda class_index: pixels[class_index])


def _task(data: ReportData) -> Block:
    networks = sorted({summary.config.model.title for summary in data.summaries})
    count = len(data.summaries)
    of_street = " of a street" if all(is_of_streets(group) for group in data.groups) else ""
    what = "One network is" if count == 1 else f"{spell_count(count, 'training run').capitalize()} are"
    return paragraph(
        f"{what} examined here at semantic segmentation: every pixel of a photograph{of_street} is given one of a"
        f" fixed set of classes. {'It is' if count == 1 else 'They are'} {join_items(networks)}. Everything that is a"
        " number below was read from the files of the runs; what it was read from is listed under Reproduction.",
    )


def _data(data: ReportData, group: Group) -> Iterator[Block]:
    yield _origin(group)
    planned = group.planned
    if planned is None:
        yield note("None of these runs has begun to train, so that frames and classes haven't been counted yet.")
    else:
        yield _splits(data, group, planned)
        has_test_split = SOURCES[group.first.config.dataset.name].has_test_split
        if has_test_split and planned.read("plan.json", "/val_frames") != OFFICIAL_VAL_FRAMES:
            yield note(
                "The official validation split of Cityscapes has 500 frames of Frankfurt, Lindau and Münster; here ",
                planned.number("plan.json", "/val_frames"),
                " frames were scored. Scores in this report compare the runs with each other, not with published"
                " results.",
            )
        yield from _shares(data, group, planned)
    if group.images_problem:
        yield note(f"No pictures of the data are shown: {group.images_problem.rstrip('.')}.")
    elif group.examples:
        caption = "Training frames and the masks that were learned from, laid over them; darkened pixels have no class."
        columns, images, colors = group.example_columns, group.examples, group.class_colors
        yield ImageGrid(f"examples{data.suffix(group)}", (caption,), columns, images, colors)


def _origin(group: Group) -> Block:
    dataset = group.first.config.dataset
    width, height = (group.first.number("config.json", f"/dataset/{side}") for side in ("width", "height"))
    source = SOURCES[dataset.name]
    origin = source.origin.format(annotations=dataset.annotations.replace("+", " and "))
    sentence = text(origin, *(cite(paper) for paper in source.papers))
    class_sentence = text(
        f" {spell_count(len(group.class_names), 'class', 'classes').capitalize()} are told apart",
        ", those of the Cityscapes benchmark" if group.class_names == CITYSCAPES_19.class_names else "",
        "; pixels of no class are neither learned from nor scored.",
    )
    learns_from_mended = [summary.run.config.dataset.corrections != "" for summary in group.summaries]
    whose = "" if all(learns_from_mended) else " by some of the runs"
    mended = f" Labels of some training frames were mended before they were learned from{whose}."
    return paragraph(
        sentence,
        mended if any(learns_from_mended) else "",
        " Frames are read at ",
        width,
        " × ",
        height,
        " pixels.",
        class_sentence,
        *_painted(group.first),
    )


def _painted(summary: RunSummary) -> Iterator[Text]:
    """Yield how the labels came to be, where they were painted in the lab."""
    frames, changes, minutes = (summary.number("labelling", f"/{name}") for name in ("frames", "changes", "minutes"))
    if frames:
        yield text(
            " Labels that were there before were corrected in this lab:"
            if summary.read("labelling", "/is_mended")
            else " The labels were painted in this lab:",
            *(" photographs ", frames, ", changes ", changes),
            *(", minutes of work about ", minutes, ". Pauses of a minute and more aren't counted."),
        )


def _splits(data: ReportData, group: Group, planned: RunSummary) -> Table:
    rows = []
    has_folders = any(city for cities in group.cities.values() for city in cities)
    for split, title in (("train", "learned from"), ("val", "scored on")):
        cities = group.cities.get(split, {})
        if not cities:
            where = "not known: the data can't be opened any more"
        elif len(cities) <= 24:
            where = join_items([f"{city or NO_FOLDER} ({count})" for city, count in cities.items()])
        else:
            where = spell_count(len(cities), "folder")
        row = cells(title, planned.number("plan.json", f"/{split}_frames"), where)
        rows.append(row if has_folders or not group.cities else row[:2])
    caption = ("Frames of each split, as the run ", planned.label, " counted them before its first step.")
    kind = "cities" if is_of_streets(group) else "folders"
    heads = ("split", "frames", f"{kind} (frames)")[: len(rows[0])]
    return Table(f"splits{data.suffix(group)}", caption, heads, tuple(rows), text_columns=(2,)[: len(heads) - 2])


def is_of_streets(group: Group) -> bool:
    """Return whether the data are known to be streets, in cities."""
    return SOURCES[group.first.config.dataset.name].group == "city"


def _shares(data: ReportData, group: Group, planned: RunSummary) -> Iterator[Block]:
    pixels = planned.read("plan.json", "/class_pixels")
    class_names = planned.run.class_names
    if not sum(pixels):
        return
    shares = {"training": [count / sum(pixels) for count in pixels]}
    evaluated = next((summary for summary in group.summaries if summary.read("eval", "/0/truth")), None)
    if evaluated:
        shares["validation"] = evaluated.read("eval", "/0/truth")
    name = f"shares{data.suffix(group)}"
    order = sorted(range(len(pixels)), key=lambda class_index: -pixels[class_index])
    frequent = [
        text(f"{class_names[index]} (", planned.class_share(index, PERCENT), ")")
        for index in order[:3]
        if pixels[index]
    ]
    sentence = text("Most pixels are ", joined(frequent), " (", Ref(name), ").")
    rare = rare_classes(planned)
    if rare:
        sentence += text(
            f" {spell_count(len(rare), 'class', 'classes').capitalize()} {'takes' if len(rare) == 1 else 'take'} less than one per cent each, the "
            f"rarest {class_names[rare[0]]} (", planned.class_share(rare[0], PLENTY), "): mean IoU counts ",
            "it as much as road" if len(rare) == 1 and "road" in class_names else "each of them as much as any other", ".",
        )  # fmt: skip
    missing = [class_names[index] for index, count in enumerate(pixels) if not count]
    if missing:
        verb = "does" if len(missing) == 1 else "do"
        sentence += text(f" {capitalized(join_items(missing))} {verb} not occur in the counted training frames.")
    unseen = [class_names[index] for index, share in enumerate(shares.get("validation", ())) if not share]
    if unseen:
        sentence += text(f" No validation pixel shows {join_items(unseen, 'or')}.")
    yield paragraph(sentence)
    caption = text(
        "Share of the labelled pixels that each class takes, counted in up to 400 training frames at even distances",
        ", and in the validation frames (marks)" if evaluated else "",
        ".",
    )
    figure = shares_figure(class_names, shares, planned.run.colors)
    yield Figure(name, caption, figure, f"Bars of the share of pixels of {len(class_names)} classes.")

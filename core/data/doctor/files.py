"""What is wrong with files before anyone asks what their masks mean: broken ones, sizes, kinds, the same one twice, and
neighbours of one recording on both sides of a split.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from core.data.doctor.case import Case
from core.data.doctor.findings import Finding, Severity, about_files
from core.data.doctor.survey import ImageInfo, MaskInfo
from core.data.sequences import sequences_of

NEARLY_EQUAL = 0.4
"""Of how far apart frames of a series usually are: neighbours below this show nearly the same."""
MIN_NEIGHBOURS, MANY_NEIGHBOURS = 5, 0.3
"""So many frames of val, and this share of them, have such a neighbour in train before it is said."""
_TITLES = {"image": "an image", "mask": "a label map"}


def broken_files(case: Case) -> Iterator[Finding]:
    """Yield files that can't be used at all, by what is wrong with them."""
    groups: dict[tuple[str, str], list[ImageInfo | MaskInfo]] = defaultdict(list)
    for info in case.frame_infos:
        for what, file in (("image", info.image), ("mask", info.mask)):
            if file and file.problem:
                groups[file.problem, what].append(file)
    again = "Copy or download that file again, or remove it with its partner."
    for (problem, what), files in groups.items():
        detail, title = files[0].detail, _TITLES[what]
        because = f" ({detail.rstrip('.')})" if detail else ""
        code, sentence, fix = {
            "vanished": (f"vanished-{what}", "{} was there a moment ago and is gone now.", "Copy it back and try again."),
            "forbidden": (f"forbidden-{what}", "{} may not be read.", "Allow reading it."),
            "empty": (f"empty-{what}", "{} is an empty file of zero bytes.", again),
            "not-a-picture": (f"unreadable-{what}", f"{{}} can't be read as {title}: it is no picture, whatever its name says.", again),
            "unreadable": (f"unreadable-{what}", f"{{}} can't be read as {title}{because}.", again),
            "truncated": (f"truncated-{what}", f"{{}} can't be read as {title} to its end: the file was cut short.", again),
            "polygons": ("unreadable-mask", f"{{}} {detail}", ""),
            "too-large": (f"too-large-{what}", f"{{}} is too large to be opened: it says it has {detail}.", "Scale it down first."),
            "odd": ("odd-numbers", f"{{}} holds numbers of the kind {detail}, but a label map holds one whole number of 0 to 255 a pixel.", "Save it again as a PNG of 8 bits."),
        }[problem]  # fmt: skip
        yield case.finding("error", code, files, sentence, fix)


def sizes(case: Case) -> Iterator[Finding]:
    """Yield photographs and masks of different size or turned against each other, and that photographs have many
    sizes.
    """
    turned, swapped, other, scaled, same = [], [], [], [], []
    for info in case.frame_infos:
        image, mask = info.image, info.mask
        if image is None or image.problem or mask.problem:
            continue
        orientation = image.header.orientation if image.header else 1
        (width, height), (mask_width, mask_height) = image.size, mask.size
        differ = f"{{}} has {_size(image.size)} pixels and its mask {_size(mask.size)}"
        if image.size == mask.size:
            if orientation > 1:
                same.append(image)
        elif abs(width * mask_height - height * mask_width) <= max(width, height, mask_width, mask_height):
            scaled.append((image, differ))
        elif (height, width) == mask.size:
            (turned if orientation >= 5 else swapped).append(image)
        else:
            other.append((image, differ))
    if turned:
        sentence = (
            "{} says by its EXIF orientation that it is to be turned by a quarter, and its mask lies as before the"
            " turn."
        )
        yield case.finding(
            "error", "exif-turned", turned, sentence, "Turn the mask as well, or save the photograph without EXIF."
        )
    if swapped:
        sentence = "{} and its mask have width and height swapped."
        yield case.finding("error", "turned", swapped, sentence, "Turn one of the two by a quarter.")
    if other:
        sentence, fix = (
            f"{other[0][1]}: they can't show the same picture.",
            "Crop or scale both in the same way, or pair the right ones.",
        )
        yield case.finding("error", "size-mismatch", [image for image, _ in other], sentence, fix)
    if scaled:
        sentence = f"{scaled[0][1]}; both are scaled to the same size when they are read."
        yield case.finding("note", "size-differs", [image for image, _ in scaled], sentence)
    if same:
        sentence = "{} is turned or mirrored as its EXIF orientation says. Look whether its mask lies the same way."
        yield case.finding("note", "exif-orientation", same, sentence)
    counts = Counter(_size(image.size) for image in case.images)
    if len(counts) > 1:
        common = ", ".join(f"{count} of {size}" for size, count in counts.most_common(3))
        more = " and others" if len(counts) > 3 else ""
        sentence = f"The photographs have {len(counts)} different sizes: {common}{more}. All are scaled to one."
        yield Finding("mixed-sizes", "note", sentence)


def unusual_images(case: Case) -> Iterator[Finding]:
    """Yield photographs that are no plain colours of 8 bits; and files of which only the first picture is used."""
    groups: dict[str, list[ImageInfo]] = defaultdict(list)
    for image in case.images:
        what = _DEEP if image.header.deep else _UNUSUAL.get(image.header.mode)
        if what:
            groups[what].append(image)
    for what, images in groups.items():
        yield case.finding("note", "unusual-image", images, f"{{}} {what}.")
    banded = [image for image in case.images if image.bands]
    if banded:
        count = banded[0].bands
        named = "" if banded[0].header.mode else ", and nothing says which are red, green and blue"
        order = " ".join(map(str, range(1, min(count, 8) + 1)))
        yield case.finding(
            "warning",
            "more-bands",
            banded,
            f"{{}} has {count} bands{named}.",
            f"Name those to learn from in the setting Bands, such as {order}; the first three are shown as red, green"
            " and blue.",
        )
    files = [file for info in case.frame_infos for file in (info.image, info.mask) if file and not file.problem]
    animated = [file for file in files if file.header and file.header.animated]
    if animated:
        yield case.finding("warning", "animated", animated, "{} holds several pictures, and only the first is used.")


_GRAY = "is gray; it is used with three equal channels"
_DEEP = "has more than 8 bits a channel; the brightest value of the data set becomes white"
_ALPHA = "has transparency, which becomes white"
_PRINT = "has the colours of print (CMYK), which change a little when they are converted"
_UNUSUAL = {
    **dict.fromkeys(("1", "L"), _GRAY),
    **dict.fromkeys(("RGBA", "LA", "PA"), _ALPHA),
    "CMYK": _PRINT,
}


def duplicates(case: Case) -> Iterator[Finding]:
    """Yield the same picture, or the same name, in train and val; the same picture twice in train."""
    by_digest: dict[str, dict[bytes, Path]] = {"train": {}, "val": {}}
    by_id: dict[str, dict[str, Path]] = {"train": {}, "val": {}}
    twice: list[tuple[Path, Path]] = []
    for info in case.frame_infos:
        split = info.frame.split
        if split not in by_digest or info.image is None or info.image.problem:
            continue
        path = info.image.path
        first = by_digest[split].setdefault(info.image.digest, path)
        if split == "train" and first != path:
            twice.append((first, path))
        by_id[split].setdefault(info.frame.id, path)
    shared = [(path, by_digest["val"][key]) for key, path in by_digest["train"].items() if key in by_digest["val"]]
    named = [(path, by_id["val"][key]) for key, path in by_id["train"].items() if key in by_id["val"]]
    named = [pair for pair in named if pair not in shared]
    if shared:
        what = "show the same picture, one in train and one in val: the score would count what was learned by heart"
        yield _pairs(case, "train-val-duplicates", "warning", shared, what, "Remove one of each pair.")
    if named:
        yield _pairs(case, "train-val-names", "warning", named, "have the same name in train and val, and differ")
    if twice:
        yield _pairs(case, "train-duplicates", "note", twice, "show the same picture, and both are in train")


def neighbours(case: Case) -> Iterator[Finding]:
    """Yield that frames of val look nearly like neighbours in train, as those of a video do."""
    infos = [
        info
        for info in case.frame_infos
        if info.frame.split in ("train", "val") and info.image is not None and info.image.thumbnail
    ]
    pictures = [np.frombuffer(info.image.thumbnail, np.uint8).astype(np.float32) for info in infos]

    def distance(one: int, other: int) -> float:
        return float(np.abs(pictures[one] - pictures[other]).mean())

    alike: dict[int, int] = {}
    for series in sequences_of([info.frame.id for info in infos], [info.frame.city for info in infos]):
        half = len(series) // 2
        if half < MIN_NEIGHBOURS:
            continue
        usual = float(np.median([distance(series[at], series[at + half]) for at in range(half)]))
        for one, other in itertools.pairwise(series):
            parts = {infos[index].frame.split: index for index in (one, other)}
            is_copy = infos[one].image.digest == infos[other].image.digest
            if len(parts) == 2 and not is_copy and distance(one, other) < NEARLY_EQUAL * usual:
                alike[parts["val"]] = parts["train"]
    scored = sum(info.frame.split == "val" for info in infos)
    if len(alike) >= max(MIN_NEIGHBOURS, MANY_NEIGHBOURS * scored):
        pairs = [(infos[train].image.path, infos[val].image.path) for val, train in sorted(alike.items())]
        what = (
            "are neighbours that look nearly the same, one in train and one in val: the score would count what was"
            " learned from neighbours"
        )
        fix = 'Set "Hold back whole" to stretch or folder, or list whole recordings for val.'
        yield _pairs(case, "train-val-neighbours", "warning", pairs, what, fix)


def _pairs(
    case: Case, code: str, severity: Severity, pairs: list[tuple[Path, Path]], what: str, fix: str = ""
) -> Finding:
    others = len(pairs) - 1
    files = about_files(case.root, code, severity, [path for pair in pairs for path in pair], "").files
    more = f" So do {others} other pairs." if others > 1 else " So does another pair." if others else ""
    return Finding(code, severity, f"'{files[0]}' and '{files[1]}' {what}.{more}", files, len(pairs), fix)


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"

"""A folder of one's own: photographs and masks found and paired by name, whatever tool laid them out.

Understood, with or without folders for train, val and test on any level:

    images/a.jpg            masks/a.png                     the plain form; labels/, annotations/, gt/ do as well
    train/a.png             train_labels/a_L.png            CamVid
    trainannot/a.png        train/a.png                     CamVid of SegNet
    JPEGImages/a.jpg        SegmentationClass/a.png         Pascal VOC, with ImageSets/Segmentation/{train,val}.txt
    img_dir/train/a.jpg     ann_dir/train/a.png             MMSegmentation
    images/training/a.jpg   annotations/training/a.png      ADE20K; images/train2017 and annotations/train2017: COCO-Stuff
    training/image_2/a.png  training/semantic/a.png         KITTI; semantic_rgb is the same in colours
    a.jpg                   a_mask.png, or a.png            label tools, side by side

    images/a.jpg            masks/road/a.png, masks/a/1.png a mask for each class or object: `annotations.binary_masks`
    a.jpg                   a.json, or one for all          label tools: `core.data.annotations`
    data/train-00000-of-00001.parquet                       the Hugging Face Hub: `core.data.parquet_files`
    datasets.json                                           several folders as one: `core.data.joint`

A mask belongs to one photograph, and never to one of another split or another stated folder. What could be paired in
two ways is paired in none, and said.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from core.config import DatasetConfig
from core.data.annotations.binary_masks import LABEL_STUDIO, MASK_ENDINGS, BinaryMask, group_masks
from core.data.annotations.files import ENDINGS as ANNOTATION_ENDINGS
from core.data.annotations.masks import PaintedFolder, paint_folder
from core.data.class_table import find_class_table, listed_names, read_class_table
from core.data.frames import Frame, Pairing, unusable_name
from core.data.joint_list import is_joint
from core.data.splits import UNLISTED, Splits, assign_splits, same_name, split_of
from core.data.unread_formats import advise_unread
from core.errors import LabError
from core.labels import LABEL_SPACES, LabelSpace
from core.paths import data_roots, resolve_data_file
from core.text import join_first

UNLABELLED = "without masks"
"""The split of images that have no mask."""
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".gif")
LOSSY_ENDINGS = (".jpg", ".jpeg", ".webp")
IMAGE_ROLES = {
    "image", "images", "img", "imgs", "photo", "photos", "jpegimages", "rgb", "input", "inputs", "original", "frames",
}  # fmt: skip
MASK_ROLES = {
    "mask", "masks", "label", "labels", "annotation", "annotations", "annot", "ann", "anns", "anno", "gt", "groundtruth", "target",
    "targets", "segmentationclass", "segmentationclassraw", "segmentation", "semantic", "semseg", "seg", "sem", "stuffthingmaps", "labelids",
    "indexed",
}  # fmt: skip
PAINTED = {
    "rgb",
    "color",
    "colors",
    "colour",
    "colours",
    "colored",
    "coloured",
    "colormap",
    "colormaps",
    "visual",
    "viz",
}
"""Words that, with one for masks, stand for a copy in colours, which gives way to the one in numbers."""
OTHER_ROLES = {
    "segmentationobject", "instance", "instances", "depth", "disparity", "overlays", "overlay", "visualization", "vis", "panoptic",
}  # fmt: skip
_MASK_ENDING = re.compile(rf"[-_. ]({'|'.join(MASK_ENDINGS)})$", re.IGNORECASE)
_TOKENS = re.compile(
    r"[-_ .]|(?<=train)(?=annot|label|mask)|(?<=val)(?=annot|label|mask)|(?<=test)(?=annot|label|mask)"
)
MAX_FILES = 500_000


@dataclass(frozen=True)
class ScannedFile:
    """A file, and what the names of its folders say of it."""

    path: Path
    split: str
    folders: tuple[str, ...]  # the folders that say neither role nor split
    stem: str
    is_mask: bool | None  # None where no folder says
    is_painted: bool = False


@dataclass
class _Scan:
    """What lies in a folder: images, what may be annotation files, Parquet files, lists of names, how many other files of which
    ending, and what was not entered.
    """

    images: list[ScannedFile] = field(default_factory=list)
    annotations: list[ScannedFile] = field(default_factory=list)
    parquet: list[ScannedFile] = field(default_factory=list)
    lists: list[Path] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    skipped: list[tuple[Path, str]] = field(default_factory=list)


def pair_folder(root: Path, val_fraction: float = 0.2, group_by: str = "stretch", class_table: str = "auto") -> Pairing:
    """Pair every photograph under `root` with its mask, or with what is painted from annotation files where there are
    no masks.

    Args:
        root: the data set's folder, checked by `core.paths.resolve_data_root`.
        val_fraction: of the pairs, held back for validation where no split is named, 0..1.
        group_by: as of `core.data.splits.assign_splits`.
        class_table: as `DatasetConfig.classes`: what annotation files are painted in.

    Raises:
        LabError: the folder may not be read, holds far too many files, a list of names fits none of them, or an
            annotation file or the class table is broken.
    """
    if is_joint(root):
        from core.data.joint import join_folders  # which opens each of its folders by this module

        return join_folders(root, val_fraction, group_by, class_table)
    try:
        scan = _scan(root)
    except OSError as error:
        raise LabError(
            f"'{error.filename}' can't be opened: {error.strerror}. Allow reading it, or name another folder."
        ) from None
    if scan.parquet and not scan.images:
        from core.data.parquet_files import unpack_frames  # pyarrow, which takes a quarter of a second to load

        frames = unpack_frames(root, sorted(scan.parquet, key=lambda file: file.path))
        splits = assign_splits(root, frames, [], val_fraction, group_by)
        return Pairing(*_by_labels(splits), skipped=tuple(scan.skipped), splits=splits, others=scan.others)
    images, masks = _separate(scan.images)
    partners, ambiguous = _partners(images, masks)
    painted = None
    groups, unclear = _several_each(images, masks, partners, ambiguous)
    if groups or unclear:
        grouped = {mask.file.path for group in groups.values() for mask in group}
        masks = [mask for mask in masks if mask.path not in grouped]
        ambiguous = unclear
        painted = None if unclear else _paint(root, images, scan, class_table, groups)
        partners = _painted_partners(root, images, painted) if painted else {}
    elif not partners and not ambiguous:
        # Without a photograph beside them, masks are photographs in a folder that is called after what it is for.
        image_files = images or masks
        painted = _paint(root, image_files, scan, class_table)
        if painted:
            images, masks = image_files, []
            partners = _painted_partners(root, images, painted)
    frames = []
    for image in images:
        mask = partners.get(image.path)
        split = image.split or (mask.split if mask else "")
        frame_id = "/".join((*image.folders, image.stem))
        frames.append(Frame(frame_id, "/".join(image.folders), split, image.path, mask.path if mask else None))
    splits = assign_splits(root, _with_own_ids(root, frames), _main_lists(scan.lists), val_fraction, group_by)
    used = {mask.path for mask in partners.values()} | {path for group in ambiguous for path in group}
    rivals = frozenset(file.path for file in masks if file.is_painted and file.path not in used)
    return Pairing(
        *_by_labels(splits),
        tuple(sorted(mask.path for mask in masks if mask.path not in used and mask.path not in rivals)),
        tuple(scan.skipped),
        tuple(ambiguous),
        splits,
        scan.others,
        painted,
    )


def annotated_space(root: Path) -> LabelSpace | None:
    """Return the label space that follows from a folder's annotation files, or from the data sets that it joins.

    None without any, or where its class table decides.

    Raises:
        LabError: as of `pair_folder`.
    """
    path = find_class_table(root)
    if path and listed_names(path) is None and not is_joint(root):
        return None
    pairing = pair_folder(root)
    if pairing.joint:
        return pairing.joint.space
    painted = pairing.painted
    return painted.space if painted else None


def _by_labels(splits: Splits) -> tuple[tuple[Frame, ...], tuple[Frame, ...]]:
    """Return the frames with labels and those without, in order."""
    labelled = sorted((frame for frame in splits.frames if frame.labels), key=lambda frame: (frame.split, frame.id))
    return tuple(labelled), tuple(sorted((f for f in splits.frames if not f.labels), key=lambda frame: frame.id))


def _several_each(
    images: list[ScannedFile],
    masks: list[ScannedFile],
    partners: dict[Path, ScannedFile],
    ambiguous: list[tuple[Path, Path, Path]],
) -> tuple[dict[Path, list[BinaryMask]], list[tuple[Path, Path, Path]]]:
    """Return the masks of each photograph, as `group_masks`, where they can't be paired one to one.

    None where names that are equal explain all masks, or where some that were paired so can't be several.
    """
    groups, unclear = group_masks(images, masks)
    owners = {mask.file.path: image for image, group in groups.items() for mask in group}
    explained = owners.keys() | {mask for mask, *_ in unclear}
    paired = {mask.path: image for image, mask in partners.items()}
    disputed = paired.keys() | {path for group in ambiguous for path in group} & {mask.path for mask in masks}
    rest = explained & {mask.path for mask in masks} - paired.keys()
    crossed = [path for path, image in paired.items() if owners.get(path, image) != image]
    if not (rest or crossed) or not disputed <= explained:
        return {}, []
    folders = {file.path: file.folders for file in (*images, *masks)}
    for path in crossed:
        if folders[path] == folders[paired[path]]:  # otherwise the pair left a folder's name out of account
            unclear.append((path, paired[path], owners[path]))
    return groups, unclear


def _paint(
    root: Path,
    images: list[ScannedFile],
    scan: _Scan,
    class_table: str,
    groups: dict[Path, list[BinaryMask]] | None = None,
) -> PaintedFolder | None:
    """Return the label maps that are painted from binary masks, else from annotation files, in the classes of a table.

    None without any such file.
    """
    files = () if groups else scan.annotations
    if not images or not (files or groups):
        return None
    if class_table in LABEL_SPACES:
        return paint_folder(root, images, files, LABEL_SPACES[class_table], (), groups, scan.images)
    path = find_class_table(root) if class_table == "auto" else resolve_data_file(class_table, "class table")
    names = listed_names(path) if path else ()
    table = read_class_table(path) if names is None else None
    return paint_folder(root, images, files, table, names or (), groups, scan.images)


def _painted_partners(root: Path, images: list[ScannedFile], painted: PaintedFolder) -> dict[Path, ScannedFile]:
    """Return the label map of each photograph that has one, with the split that its annotation file states."""
    partners = {}
    for image in images:
        name = image.path.relative_to(root).as_posix()
        if name in painted.masks:
            path, split = painted.masks[name]
            partners[image.path] = ScannedFile(Path(path), split, (), image.stem, True)
    return partners


def explain_no_pairs(root: Path, pairing: Pairing) -> str:
    """Return why a folder gave nothing to train on, what else lies there, and what to do, in a few sentences."""
    hint = "Put photographs into images/ and masks of the same names into masks/."
    also = ""
    if pairing.others:
        listed = [f"{count} {ending}" for ending, count in pairing.others.most_common()]
        also = f" Beside them lie files that aren't read as masks: {join_first(listed, 4)}."
        also += f" {advice}" if (advice := advise_unread(pairing.others)) else ""
    if not pairing.unlabelled and not pairing.orphans:
        return f"'{root}' holds no pictures.{also.replace(' Beside them lie', ' There are')} {hint}"
    if not pairing.orphans:
        first = pairing.unlabelled[0].image.name
        return f"'{root}' holds {len(pairing.unlabelled)} photographs like '{first}', but no masks.{also} {hint}"
    if not pairing.unlabelled:
        return (
            f"'{root}' holds {len(pairing.orphans)} masks like '{pairing.orphans[0].name}', but no photographs.{also}"
            f" {hint}"
        )
    image, mask = (path.relative_to(root) for path in (pairing.unlabelled[0].image, pairing.orphans[0]))
    if LABEL_STUDIO.fullmatch(mask.stem):
        return (
            f"'{mask}' says the number of a task in Label Studio, but not which photograph that is. Export as JSON"
            " instead, which holds the same masks with the photographs' names, and put it in place of these files."
        )
    if same_name(image.stem) == same_name(mask.stem):
        return (
            f"'{image}' and '{mask}' have the same name, but lie in folders that differ: no photograph in '{root}' has"
            " a mask in the folder that answers to its own. Name the folders alike, such as images/ulm and masks/ulm."
        )
    return (
        f"No photograph in '{root}' has a mask of its name: '{image}' and '{mask}' don't match. Give both the same"
        " name; the mask may end in _mask, _label or _L. A mask for each class or object lies as masks/road/a.png,"
        " masks/a/1.png or masks/a_road.png."
    )


def find_frames(root: Path, config: DatasetConfig) -> tuple[list[Frame], list[Frame]]:
    """Return the frames to learn from and those to score on.

    Raises LabError where either is empty, or a pair is ambiguous.
    """
    result = pair_folder(root, config.val_fraction, config.group_by, config.classes)
    for problem in result.problems(root):
        raise LabError(problem)
    train = [frame for frame in result.frames if frame.split == "train"]
    val = [frame for frame in result.frames if frame.split == "val"]
    if not result.frames:
        raise LabError(explain_no_pairs(root, result))
    if not train or not val:
        raise LabError(
            f"'{root}' has {len(train)} frames to learn from and {len(val)} to score on, and needs at least one of"
            f" each. {result.splits.source} Add pairs of image and mask."
        )
    return train, val


def find_splits(root: Path, config: DatasetConfig) -> dict[str, tuple[Frame, ...]]:
    """Return every frame by split.

    Images without a mask are a split of their own, and so are those that no list names.
    """
    pairs = pair_folder(root, config.val_fraction, config.group_by, config.classes)
    names = ("train", "val", "test", UNLISTED)
    splits = {split: tuple(frame for frame in pairs.frames if frame.split == split) for split in names}
    return {split: frames for split, frames in splits.items() if frames or split != UNLISTED} | {
        UNLABELLED: pairs.unlabelled
    }


def _scan(root: Path) -> _Scan:
    """Look through a folder. Links are followed once, and never out of the folders that may be read."""
    scan = _Scan()
    seen: set[str] = set()
    allowed = data_roots()
    pending = [root]
    while pending:
        folder = pending.pop()
        real = folder.resolve()
        if str(real) in seen:
            scan.skipped.append((folder, "a link to a folder that was read already"))
            continue
        if not any(real.is_relative_to(permitted) for permitted in allowed):
            scan.skipped.append((folder, "a link out of the folders this lab may read"))
            continue
        seen.add(str(real))
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = folder / entry.name
                if entry.name.startswith(".") or entry.name in ("__MACOSX", "Thumbs.db", "desktop.ini"):
                    continue
                try:
                    is_folder = entry.is_dir()
                except OSError:  # a link to itself
                    scan.skipped.append((path, "a link that leads in a circle"))
                    continue
                if is_folder and (reason := unusable_name(entry.name)):
                    scan.skipped.append((path, reason))
                elif is_folder:
                    pending.append(path)
                elif entry.is_symlink() and not path.exists():
                    scan.skipped.append((path, "a link to a file that isn't there"))
                elif entry.is_symlink() and not any(path.resolve().is_relative_to(permitted) for permitted in allowed):
                    scan.skipped.append((path, "a link out of the folders this lab may read"))
                elif path.suffix.lower() not in IMAGE_ENDINGS:
                    if path.suffix.lower() == ".txt" and split_of(path.stem):
                        scan.lists.append(path)
                        continue
                    if path.suffix:
                        is_volume = path.name.lower().endswith(".nii.gz")
                        scan.others[".nii.gz" if is_volume else path.suffix.lower()] += 1
                    if path.suffix.lower() == ".parquet" and not unusable_name(entry.name):
                        scan.parquet.append(_file_of(root, path))
                    if path.suffix.lower() in ANNOTATION_ENDINGS and not unusable_name(entry.name):
                        scan.annotations.append(_file_of(root, path))
                elif reason := unusable_name(entry.name):
                    scan.skipped.append((path, reason))
                elif len(scan.images) == MAX_FILES:
                    raise LabError(f"'{root}' holds more than {MAX_FILES} pictures. Name a smaller folder.")
                else:
                    scan.images.append(_file_of(root, path))
    scan.images.sort(key=lambda file: file.path)
    scan.annotations.sort(key=lambda file: file.path)
    return scan


def _main_lists(lists: list[Path]) -> list[Path]:
    """Return the lists that count: Pascal VOC has some for every task, of which those for segmentation are meant."""
    segmentation = [path for path in lists if path.parent.name.lower() == "segmentation"]
    return sorted(segmentation or lists)


def _with_own_ids(root: Path, frames: list[Frame]) -> list[Frame]:
    """Return frames no two of which in a split have the same id: where two would, each is called by its whole path."""
    counts = Counter((frame.split, frame.id) for frame in frames)
    return [
        replace(frame, id=frame.image.relative_to(root).as_posix()) if counts[frame.split, frame.id] > 1 else frame
        for frame in frames
    ]


def _file_of(root: Path, path: Path) -> ScannedFile:
    """Read what the names of the folders say.

    A whole name says it louder than a word in one, and the nearer folder than the farther.
    """
    split, folders = "", []
    role, loudness, is_painted = None, 0, False
    for folder in path.relative_to(root).parent.parts:
        name = folder.lower().replace("ground_truth", "groundtruth")
        tokens = [token for token in _TOKENS.split(name) if token]
        says_something = False
        for token in dict.fromkeys((name, *tokens)):
            if split_of(token):
                split, says_something = split or split_of(token), True
        if OTHER_ROLES & {name, *tokens}:
            folders.append(folder)  # a picture of something else pairs with nothing
            role, loudness = "other", 3
            continue
        is_mask_name = bool(MASK_ROLES & {name, *tokens})
        if is_mask_name or IMAGE_ROLES & {name, *tokens} or (role == "mask" and PAINTED & {name, *tokens}):
            new_role = "mask" if is_mask_name or (role == "mask" and PAINTED & {name, *tokens}) else "image"
            new_loudness = 2 if name in MASK_ROLES | IMAGE_ROLES | PAINTED else 1
            if new_loudness >= loudness:
                role, loudness = new_role, new_loudness
            says_something = says_something or role == new_role
            is_painted = role == "mask" and bool(PAINTED & {name, *tokens})
        if not says_something:
            folders.append(folder)
    is_mask = {"mask": True, "image": False, "other": False}.get(role) if role else None
    return ScannedFile(path, split, tuple(folders), path.stem, is_mask, is_painted)


def _separate(files: list[ScannedFile]) -> tuple[list[ScannedFile], list[ScannedFile]]:
    """Return photographs and masks.

    Where no folder says, the ending of the name does, or a photograph of the same name beside it.
    """
    some_folder_says_mask = any(file.is_mask for file in files)
    lossy = {(file.path.parent, file.stem) for file in files if file.path.suffix.lower() in LOSSY_ENDINGS}
    stems = {same_name(file.stem) for file in files}
    images, masks = [], []
    for file in files:
        is_mask = file.is_mask
        if any(OTHER_ROLES & {part.lower(), *_TOKENS.split(part.lower())} for part in file.folders):
            continue
        if not is_mask and not some_folder_says_mask:
            is_lossless = file.path.suffix.lower() not in LOSSY_ENDINGS
            twin = is_lossless and (file.path.parent, file.stem) in lossy
            shorter = _MASK_ENDING.sub("", file.stem)
            # One letter at the end may as well mean the left camera: it takes a photograph without it.
            long_ending = len(file.stem) - len(shorter) > 2
            is_mask = (
                bool(LABEL_STUDIO.fullmatch(file.stem))
                or twin
                or (shorter != file.stem and (long_ending or same_name(shorter) in stems))
            )
        (masks if is_mask else images).append(file)
    return images, _without_raw(masks)


def _without_raw(masks: list[ScannedFile]) -> list[ScannedFile]:
    """Return masks without those beside which the same lies in numbers that are rather meant."""
    names = {(mask.path.parent, mask.stem.lower()) for mask in masks}
    preferred = (("", "_labeltrainids"), ("_labeltrainids", "_labelids"))  # COCO-Stuff of MMSegmentation, Cityscapes
    return [
        mask
        for mask in masks
        if not any(
            mask.stem.lower().endswith(ending)
            and (mask.path.parent, mask.stem.lower().removesuffix(ending) + better) in names
            for ending, better in preferred
        )
    ]


@dataclass(frozen=True)
class _Round:
    """One reading of names, by which files are paired."""

    spelled: Callable[[str], str] = str
    with_split: bool = True
    with_folders: bool = True
    shortens: bool = False  # masks by their name without "_mask" at its end

    def key(self, file: ScannedFile, is_mask: bool) -> tuple[str, ...]:
        stem = _MASK_ENDING.sub("", file.stem) if is_mask and self.shortens else file.stem
        folders = map(self.spelled, file.folders) if self.with_folders else ()
        return (file.split if self.with_split else "", *folders, self.spelled(stem))


_ROUNDS = tuple(
    _Round(spelled, with_split, shortens=shortens)
    for spelled in (str, same_name)
    for with_split in (True, False)
    for shortens in (False, True)
)
_ROUNDS_WITHOUT_FOLDERS = tuple(_Round(same_name, False, False, shortens) for shortens in (False, True))


def _partners(
    images: list[ScannedFile], masks: list[ScannedFile]
) -> tuple[dict[Path, ScannedFile], list[tuple[Path, Path, Path]]]:
    """Return the mask of each photograph that has one, and what could be paired in two ways, as three files.

    Round by round, from the strictest to the loosest reading of names: what was paired is out of the next round, and
    what is wanted twice is paired with nothing.
    """
    partners: dict[Path, ScannedFile] = {}
    ambiguous: list[tuple[Path, Path, Path]] = []
    in_one_folder = any(len({file.folders for file in files}) == 1 for files in (images, masks))
    for reading in (*_ROUNDS, *(_ROUNDS_WITHOUT_FOLDERS if in_one_folder else ())):
        used = (
            {mask.path for mask in partners.values()}
            | partners.keys()
            | {path for group in ambiguous for path in group}
        )
        wanting: dict[tuple[str, ...], list[ScannedFile]] = defaultdict(list)
        offered: dict[tuple[str, ...], list[ScannedFile]] = defaultdict(list)
        for files, groups, is_mask in ((images, wanting, False), (masks, offered, True)):
            for file in files:
                if file.path not in used:
                    groups[reading.key(file, is_mask)].append(file)
        for key, candidates in wanting.items():
            mask_candidates = {
                image.path: _prefer_ids([mask for mask in offered.get(key, ()) if _may_pair(image, mask, reading)])
                for image in candidates
            }
            for image in candidates:
                own = mask_candidates[image.path]
                rivals = [
                    other.path
                    for other in candidates
                    if other is not image and any(mask in own for mask in mask_candidates[other.path])
                ]
                if len(own) == 1 and not rivals:
                    partners[image.path] = own[0]
                elif own and rivals:
                    ambiguous.append((own[0].path, image.path, rivals[0]))
                elif own:
                    ambiguous.append((image.path, own[0].path, own[1].path))
    return partners, ambiguous + _left_over(images, masks, partners)


def _left_over(
    images: list[ScannedFile], masks: list[ScannedFile], partners: dict[Path, ScannedFile]
) -> list[tuple[Path, Path, Path]]:
    """Return photographs that have a mask and could have had another: a.png beside a_mask.png.

    They lose the one they had.
    """
    reading = _Round(same_name, shortens=True)
    paired = {reading.key(image, False): image for image in images if image.path in partners}
    used = {mask.path for mask in partners.values()}
    rivals = []
    for mask in masks:
        image = paired.get(reading.key(mask, True))
        if mask.path not in used and not mask.is_painted and image and image.path in partners:
            rivals.append((image.path, partners.pop(image.path).path, mask.path))
    return rivals


def _prefer_ids(masks: list[ScannedFile]) -> list[ScannedFile]:
    """Return the masks of numbers among those that say the same of a photograph, or those in colours where there are no
    others.
    """
    return [mask for mask in masks if not mask.is_painted] or masks


def _may_pair(image: ScannedFile, mask: ScannedFile, reading: _Round) -> bool:
    """Return False for files of two stated splits, or of two stated places."""
    if image.split and mask.split and image.split != mask.split:
        return False
    if reading.with_folders or not image.folders or not mask.folders:
        return True
    # Folders that say neither what they hold nor for which split may be called after the tool that wrote them.
    return image.is_mask is None or mask.is_mask is None

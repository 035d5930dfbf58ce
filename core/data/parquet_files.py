"""Data sets of the Hugging Face Hub as Parquet files, without the `datasets` library.

`data/train-00000-of-00001.parquet` holds a picture in a struct of bytes and path, and its mask in another. The bytes
are unpacked as they are, once, a row group at a time, into `cache_folder()/parquet/DIGEST/`: training asks for frames
in any order, and each would cost a whole row group otherwise. https://huggingface.co/docs/datasets/about_dataset_features
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from core.data.annotations.binary_masks import FolderFile
from core.data.frames import Frame
from core.data.splits import split_in
from core.errors import LabError
from core.files import new_folder, parse_json
from core.paths import cache_folder
from core.text import format_bytes, join_items

VERSION = 1
"""Of what is unpacked; another one unpacks anew."""
ROWS = 8
"""So many become Python values at a time; pyarrow holds about twice the row group that they are of."""
BUFFER = 2**20
"""Bytes of a column that are read at a time; without it pyarrow takes half as much again."""
MAX_GROUP_BYTES = 2**31
"""Of a row group; `datasets` writes 100 rows of pictures into one."""
MASK_COLUMNS = (
    "annotation",
    "annotations",
    "label",
    "labels",
    "mask",
    "masks",
    "segmentation",
    "semantic_segmentation",
)


def unpack_frames(root: Path, files: Sequence[FolderFile]) -> list[Frame]:
    """Return the rows of a folder's Parquet files as frames, each with the split that its file is called after.

    A frame is called after its file and the number of its row there.

    Raises:
        LabError: a file can't be read, says not which of its columns are photograph and mask, or holds a path in place
            of a picture; or there is no room in the cache.
    """
    digest = hashlib.sha256(f"{VERSION}|{root}".encode("utf-8", "surrogateescape"))
    for file in files:
        metadata = file.path.stat()
        digest.update(f"\n{file.path}|{metadata.st_size}|{metadata.st_mtime_ns}".encode("utf-8", "surrogateescape"))
    folder = cache_folder() / "parquet" / digest.hexdigest()[:32]
    index = folder / "index.json"  # written last
    if not index.is_file():
        with new_folder(folder) as draft:
            rows = [row for file in files for row in _unpack(root, file, draft)]
            (draft / index.name).write_text(json.dumps(rows))
    return [
        Frame(name, name.rpartition("/")[0], split, folder / image, folder / mask if mask else None)
        for name, split, image, mask in parse_json(index.read_text())
    ]


def _unpack(root: Path, file: FolderFile, draft: Path) -> Iterator[tuple[str, str, str, str]]:
    """Write the pictures of a file, and yield id, split, photograph and mask of each row, "" without a mask."""
    stem = file.path.relative_to(root).with_suffix("")
    split = file.split or split_in(file.path.stem)
    try:
        (draft / stem).mkdir(parents=True, exist_ok=True)
        with pq.ParquetFile(file.path, buffer_size=BUFFER, pre_buffer=False) as table:
            columns = _columns(table.schema_arrow, file.path)
            _check_groups(table.metadata, file.path)
            groups = range(table.num_row_groups)  # each by itself: asked for all, pyarrow keeps those that were read
            batches = (
                batch
                for group in groups
                for batch in table.iter_batches(ROWS, [group], list(columns), use_threads=False)
            )
            rows = (row for batch in batches for row in batch.to_pylist())
            for index, row in enumerate(rows):
                name = f"{stem.as_posix()}/{index:06d}"
                files = f"{name}.png", f"{name}_mask.png"  # whatever they are: what they hold decides
                held = [row[column] or {} for column in columns]
                for column, path, image in zip(columns, files, held, strict=True):
                    if image.get("bytes"):
                        (draft / path).write_bytes(image["bytes"])
                    elif image.get("path") or path == files[0]:
                        raise LabError(
                            f"Row {index} of '{file.path}' holds no picture in the column '{column}', but the path"
                            f" '{image.get('path')}' of a file elsewhere. Save the data set with its pictures in it,"
                            " or unpack them into images/ and masks/."
                        )
                yield name, split, files[0], files[1] if held[1].get("bytes") else ""
    except (pa.ArrowException, OSError) as error:
        raise LabError(
            f"'{file.path}' can't be unpacked from Parquet: {str(error)[:160]}. Download that file again (git lfs pull,"
            f" where it was cloned), and see that there is room in '{cache_folder()}'."
        ) from None


def _check_groups(metadata: pq.FileMetaData, path: Path) -> None:
    """Raise LabError where a row group wouldn't fit into memory."""
    largest = max((metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups)), default=0)
    if largest > MAX_GROUP_BYTES:
        raise LabError(
            f"'{path}' has a row group of {format_bytes(largest)}, which must be read as a whole;"
            f" {format_bytes(MAX_GROUP_BYTES)} is the most that is. Save it anew with a row_group_size of 100."
        )


def _columns(schema: pa.Schema, path: Path) -> tuple[str, str]:
    """Return the columns of photograph and mask. Raises LabError."""
    image_columns = [
        field.name
        for field in schema
        if pa.types.is_struct(field.type) and {"bytes", "path"} <= {part.name for part in field.type}
    ]
    masks = [name for name in image_columns if name.lower() in MASK_COLUMNS]
    others = [name for name in image_columns if name not in masks]
    if len(masks) != 1 or len(others) != 1:
        raise LabError(
            f"'{path}' has {join_items([repr(name) for name in image_columns]) or 'none'} for columns of pictures, but"
            f" one of photographs and one of masks is needed, the latter called {', '.join(MASK_COLUMNS[:-1])} or"
            f" {MASK_COLUMNS[-1]}. Remove or rename the others; its columns are {', '.join(schema.names)[:200]}."
        )
    return others[0], masks[0]


def listed_classes(root: Path) -> tuple[str, ...]:
    """Return the class names of a folder's Parquet files, where one column lists the classes of each picture.

    () where none or several do: what else is a class there is one of the whole picture.
    """
    path = min(root.rglob("*.parquet"), default=None)
    try:
        metadata = (pq.read_schema(path).metadata or {}) if path else {}
        features = parse_json(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        lists = [_class_label(feature) for feature in features.values()]
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError, AttributeError):
        return ()
    named = [names for names in lists if names]
    return named[0] if len(named) == 1 else ()


def _class_label(feature: Any) -> tuple[str, ...]:
    """Return the names of a feature that is a list of classes, else ()."""
    inner = feature.get("feature") if isinstance(feature, dict) else None
    is_list = isinstance(inner, dict) and inner.get("_type") == "ClassLabel"
    return tuple(str(name) for name in inner["names"]) if is_list else ()

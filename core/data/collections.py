"""Named sets of one's own pictures, such as the study's photographs of its own streets, on which every later run is
shown.

A collection is a folder under the data folder with pictures that were encoded here: nothing that was uploaded is kept
as it came.
"""

import json
import re
import shutil
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from core.auth import current_user, read_owner, require_owner, require_write, write_owner
from core.data.cache import SPARE_BYTES
from core.data.decoding import read_image
from core.disk_usage import check_disk_quota
from core.errors import LabError, writing
from core.files import parse_json, replacing, write_atomically
from core.paths import collections_folder
from core.text import format_bytes, one_line

MAX_COLLECTIONS = 100
"""Collections of one owner."""
MAX_IMAGES = 200
NAME_LENGTH = 60
METADATA_FILE = "collection.json"


@dataclass(frozen=True)
class Collection:
    """A saved set of pictures.

    Attributes:
        slug: the name of its folder.
        name: what it was called.
        images: what each picture is called, with its file, in their order.
    """

    slug: str
    name: str
    images: tuple[tuple[str, Path], ...]

    def image(self, index: int) -> np.ndarray:
        """Return a picture, uint8 (H, W, 3). Raises LabError when its file is gone."""
        return read_image(self.images[index][1])


def slug_of(name: str) -> str:
    """Return the name of the folder for a collection's name: small letters, digits and hyphens.

    Raises:
        LabError: nothing of the name is left, or it is too long.
    """
    if len(name.strip()) > NAME_LENGTH:
        raise LabError(
            f"The name has {len(name.strip())} characters; the limit is {NAME_LENGTH}. Choose a shorter one."
        )
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")
    if not slug:
        raise LabError("A collection needs a name with at least one letter of a to z or digit. Type one.")
    return slug


def save_collection(name: str, images: Sequence[tuple[str, np.ndarray]]) -> Collection:
    """Write pictures, each with what it is called and its pixels uint8 (H, W, 3), as a collection.

    Raises:
        LabError: the name can't be used or is taken, there are no pictures or too many, the disk is full, or the one
            who is asking may only look.
        QuotaError: their things take as much of the disk as they may.
    """
    require_write()
    name, slug = one_line(name), slug_of(name)
    folder = collections_folder() / slug
    if folder.exists():
        raise LabError(f"There is a collection '{slug}' already. Choose another name, or delete that one first.")
    if not 1 <= len(images) <= MAX_IMAGES:
        raise LabError(f"A collection holds 1 to {MAX_IMAGES} pictures, and these are {len(images)}.")
    if any(image.shape[2] != 3 for _, image in images):
        raise LabError("A collection keeps photographs in colours, and these have other bands. Keep their files.")
    if count_collections(current_user().id) >= MAX_COLLECTIONS:
        raise LabError(f"You have {MAX_COLLECTIONS} collections, which is the limit. Delete one first.")
    check_disk_quota()
    with writing(collections_folder()), replacing(folder) as draft:
        draft.mkdir(parents=True)
        needed, free = sum(image.nbytes for _, image in images), shutil.disk_usage(draft).free
        if needed + SPARE_BYTES > free:
            raise LabError(
                f"These pictures may take {format_bytes(needed)}, and '{collections_folder()}' has {format_bytes(free)}"
                f" free, of which {format_bytes(SPARE_BYTES)} are left alone. Free some space, or save fewer."
            )
        files = []
        for index, (title, image) in enumerate(images):
            files.append({"name": one_line(title), "file": f"{index:03d}.png"})
            encoded = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
            (draft / files[-1]["file"]).write_bytes(encoded.tobytes())
        write_owner(draft)
        write_atomically(draft / METADATA_FILE, json.dumps({"name": name, "pictures": files}, indent=1))
    return read_collection(slug)


def list_collections() -> list[Collection]:
    """Return every collection, by name; folders that can't be read as one are passed over."""
    results = []
    folder = collections_folder()
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.is_dir() and not path.name.startswith("."):
            try:
                results.append(read_collection(path.name))
            except LabError:
                continue
    return sorted(results, key=lambda collection: collection.name.lower())


def count_collections(user_id: str) -> int:
    """Return how many collections a user has."""
    return sum(read_owner(_folder_of(each.slug)) == user_id for each in list_collections())


def read_collection(slug: str) -> Collection:
    """Return a collection by the name of its folder.

    Raises:
        LabError: there is none of that name, or it can't be read.
    """
    folder = _folder_of(slug)
    try:
        metadata = parse_json((folder / METADATA_FILE).read_text(encoding="utf-8"))
        rows = [(str(row["name"]), folder / Path(row["file"]).name) for row in metadata["pictures"]]
        return Collection(slug, str(metadata["name"]), tuple(rows))
    except (OSError, ValueError, KeyError, TypeError):
        raise LabError(f"There is no collection '{slug}', or it can't be read. Choose another.") from None


def delete_collection(slug: str) -> None:
    """Remove a collection with its pictures. Raises LabError where there is none of that name, or it is another's."""
    read_collection(slug)
    require_owner(read_owner(_folder_of(slug)), "This collection")
    shutil.rmtree(_folder_of(slug), ignore_errors=True)


def _folder_of(slug: str) -> Path:
    if not re.fullmatch(r"[a-z0-9-]+", slug):
        raise LabError("This is not the name of a collection. Choose one of the list.")
    return collections_folder() / slug

"""A ZIP dropped on the page Data: unpacked into a folder of its own, and no further."""

import io
import stat
import zipfile

import numpy as np
import pytest
from PIL import Image

from core.data import uploaded_archive
from core.data.folder import pair_folder
from core.data.uploaded_archive import archives_folder, unpack_archive
from core.errors import LabError


@pytest.fixture(autouse=True)
def _own_data_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SEGLAB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(tmp_path))


def picture() -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(data, "PNG")
    return data.getvalue()


def zipped(files: dict[str, bytes], **options) -> io.BytesIO:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", **options) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    data.seek(0)
    return data


SET = {f"my set/{kind}/{index}.png": picture() for kind in ("images", "masks") for index in range(3)}


def test_a_data_set_is_unpacked_into_a_folder_of_its_own():
    steps = []
    first = unpack_archive(
        "My cars.zip", zipped(SET | {"my set/classes.json": b"[]"}), lambda *step: steps.append(step)
    )
    assert first == archives_folder() / "My-cars" and len(pair_folder(first).frames) == 3 and steps[-1] == (6, 7)
    assert unpack_archive("My cars.zip", zipped(SET)).name == "My-cars-2", "none is written over"


@pytest.mark.parametrize(
    "name",
    [
        "../out.png",
        "/etc/out.png",
        "C:\\out.png",
        "a/../../out.png",
        ".hidden.png",
        "__MACOSX/out.png",
        "run.sh",
        "a/b.py",
        "a\nb.png",
    ],
)
def test_what_leads_out_or_is_no_data_stays_in_the_archive(tmp_path, name):
    root = unpack_archive("x.zip", zipped(SET | {name: b"x"}))
    assert not list(tmp_path.rglob("*out.png"))
    assert sum(path.is_file() for path in root.rglob("*")) == 6


def test_a_link_is_no_link_afterwards():
    data = zipped(SET)
    with zipfile.ZipFile(data, "a") as archive:
        link = zipfile.ZipInfo("link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    data.seek(0)
    assert not (unpack_archive("x.zip", data) / "link.png").is_symlink()


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (io.BytesIO(b"no zip at all"), "it is no ZIP, or was cut short"),
        (io.BytesIO(zipped(SET).getvalue()[:-40]), "it is no ZIP, or was cut short"),
        (zipped({"readme.md": b"x"}), "holds no images, masks or label files"),
    ],
)
def test_what_can_not_be_unpacked_is_said_and_leaves_nothing(data, text):
    with pytest.raises(LabError, match=text):
        unpack_archive("x.zip", data)
    assert not list(archives_folder().iterdir())


def test_a_bomb_is_stopped_by_what_comes_out(monkeypatch):
    monkeypatch.setattr(uploaded_archive, "MAX_BYTES", 10**6)
    with pytest.raises(LabError, match="unfolds to more than fits"):
        unpack_archive("x.zip", zipped({"a.png": b"0" * 10**7}, compression=zipfile.ZIP_DEFLATED))
    assert not list(archives_folder().iterdir())

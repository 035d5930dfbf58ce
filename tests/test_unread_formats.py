"""Files that aren't read are called by their name, with what to do, wherever they are met."""

import pytest

from core.data.decoding import decode_image
from core.data.folder import explain_no_pairs, pair_folder
from core.data.unread_formats import UNREAD_FORMATS, advise_unread, name_unread
from core.errors import LabError
from core.inference.batches import decode_batch
from core.inference.uploads import decode_upload

WITH_MAGIC = [kind for kind in UNREAD_FORMATS if kind.magic]


@pytest.mark.parametrize("kind", WITH_MAGIC, ids=lambda kind: kind.endings[0])
def test_an_upload_of_a_format_that_is_not_read_says_what_it_is_and_what_to_do(kind):
    for magic in kind.magic:
        data = b"\0" * kind.start + magic + b"\0" * 400
        assert f"it is {kind.title}" in name_unread(data)
        for read in (decode_upload, lambda data: list(decode_batch("scan", data))):
            with pytest.raises(LabError, match=kind.title) as error:
                read(data)
            assert kind.advice.rstrip(".")[1:] in str(error.value)
        with pytest.raises(ValueError, match=kind.title):
            decode_image(data)


@pytest.mark.parametrize("kind", UNREAD_FORMATS, ids=lambda kind: kind.endings[0])
def test_a_folder_of_a_format_that_is_not_read_says_so(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(tmp_path))
    (tmp_path / "images").mkdir()
    for index in range(3):
        (tmp_path / f"images/{index}{kind.endings[-1]}").write_bytes(b"\0" * 600)
    text = explain_no_pairs(tmp_path, pair_folder(tmp_path))
    assert f"3 {kind.endings[-1]}" in text and kind.title in text and kind.advice in text


def test_no_ending_is_of_two_formats_and_what_is_read_is_of_none():
    endings = [ending for kind in UNREAD_FORMATS for ending in kind.endings]
    assert len(endings) == len(set(endings))
    assert advise_unread([".png", ".jpg", ".txt"]) == "" and name_unread(b"\0\0\0\x18ftypmp42" + b"\0" * 400) == ""

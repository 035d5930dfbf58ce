"""Files that are whole or not there, drafts nobody can guess, and sentences about disks that refuse."""

import errno
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from app.widgets import show_fault
from core import errors
from core.errors import LabError, storage_sentence, writing
from core.files import draft_of, new_folder, replacing, write_atomically

REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


def test_a_draft_replaces_a_file_or_makes_a_folder_and_nothing_of_it_stays_where_it_fails(tmp_path):
    file, folder = tmp_path / "a.txt", tmp_path / "b"
    write_atomically(file, "old")
    with replacing(folder) as draft:
        draft.mkdir()
        (draft / "inside").write_text("x")
    assert (folder / "inside").read_text() == "x"
    with pytest.raises(ZeroDivisionError), replacing(file) as draft:
        draft.write_text("half")
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "c") as draft:
        draft.mkdir()
        (draft / "inside").write_text("half")
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "d") as draft:
        draft.mkdir()
        raise ZeroDivisionError
    assert file.read_text() == "old" and sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b"]


def test_nobody_guesses_a_drafts_name_and_a_link_that_lies_there_is_not_followed(tmp_path, monkeypatch):
    path, secret = tmp_path / "notes.json", tmp_path / "secret"
    secret.write_text("untouched")
    assert len({draft_of(path) for _ in range(100)}) == 100 and draft_of(path).suffix == ".json"
    assert draft_of(path).name.startswith(".") and draft_of(path).parent == tmp_path
    monkeypatch.setattr("core.files.secrets.token_hex", lambda length: "guessed")
    draft_of(path).symlink_to(secret)
    with pytest.raises(FileExistsError):
        write_atomically(path, "new")
    assert secret.read_text() == "untouched"


@pytest.mark.parametrize("number", REFUSED, ids=errno.errorcode.get)
def test_a_disk_that_refuses_is_a_sentence_wherever_it_is_met(number, monkeypatch):
    error = OSError(number, os.strerror(number), "/data/x")
    sentence = storage_sentence(error)
    assert "'/data/x'" in sentence and os.strerror(number) in sentence and sentence.endswith(".")
    assert "The lab can't write" in storage_sentence(OSError(number, os.strerror(number)))
    with pytest.raises(LabError, match="/runs"), writing(Path("/runs")):
        raise error
    shown = []
    monkeypatch.setattr("app.widgets.failed_state", lambda error: shown.append(str(error)))
    assert show_fault(error)
    assert shown == [sentence], "a page says the same"


def test_other_errors_are_none_of_the_disk():
    assert storage_sentence(FileNotFoundError(errno.ENOENT, "No such file", "x")) == ""
    assert set(errors._REMEDIES) == set(REFUSED)


@pytest.mark.skipif(shutil.which("mount") is None, reason="disks are made full by mounting small ones")
def test_a_full_disk_stops_a_writer_with_a_sentence_and_breaks_nothing(tmp_path, lab_folders):
    """Four of the writers of `make faults`."""
    from benchmarks.faults import disks
    from benchmarks.faults.bench import Bench

    (tmp_path / "probe").mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(tmp_path / "probe")], capture_output=True).returncode:
        pytest.skip("this account may not mount a small disk")
    subprocess.run(["umount", str(tmp_path / "probe")], check=True)
    (tmp_path / "bench").mkdir()
    result = disks.unwritable(Bench(tmp_path / "bench", 0.25, random.Random(0)), disks.full)
    assert result.faults == 4 and result.lost == 0, result.kept

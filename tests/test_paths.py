"""Where the lab keeps things, and what a typed data folder may be."""

import os
from pathlib import Path

import pytest

from core.errors import LabError
from core.paths import (
    PROJECT,
    data_roots,
    only_the_data_folder,
    resolve_data_file,
    resolve_data_root,
    runs_folder,
    streets_folder,
    weights_folder,
)


def test_places_follow_the_environment_at_every_call(lab_folders, monkeypatch):
    assert runs_folder() == lab_folders.runs
    assert streets_folder() == lab_folders.data / "streets"
    assert weights_folder() == lab_folders.weights
    monkeypatch.setenv("SEGLAB_CHECKPOINTS", str(lab_folders.other / "elsewhere"))
    assert runs_folder() == lab_folders.other / "elsewhere"


def test_a_relative_place_is_the_same_from_wherever_one_starts(lab_folders, monkeypatch):
    monkeypatch.setenv("SEGLAB_CHECKPOINTS", "runs/mine")
    for folder in (lab_folders.other, PROJECT):
        monkeypatch.chdir(folder)
        assert runs_folder() == PROJECT / "runs/mine"


def test_defaults_lie_in_the_project(monkeypatch):
    for name in ("CHECKPOINTS", "DATA", "DATA_ROOTS", "WEIGHTS"):
        monkeypatch.delenv(f"SEGLAB_{name}", raising=False)
    assert runs_folder() == PROJECT / "checkpoints"
    assert streets_folder() == PROJECT / "data" / "streets"
    assert PROJECT.parent in data_roots()


def test_a_folder_under_a_root_is_found(lab_folders, streets):
    assert resolve_data_root(str(streets)) == streets
    assert resolve_data_root(f"  {streets}/../streets/ ") == streets
    folder = lab_folders.other / "städte 東京"
    folder.mkdir()
    assert resolve_data_root(str(folder)) == folder


def test_a_link_to_another_root_is_followed(lab_folders, streets):
    (lab_folders.other / "link").symlink_to(streets)
    assert resolve_data_root(str(lab_folders.other / "link")) == streets


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "\0",
        "streets\0",
        "..",
        "../../../../../../etc",
        "/",
        "/etc",
        "/proc/self/root/etc",
        "~nosuchuser/data",
        "~root/../etc",
        "x" * 300,
        "x/" * 5000,
        "/" + "x" * 100_000,
        "\udcff\udcfe",
        "東京",
        "file:///etc",
        "\n\r\t",
        "$HOME",
        "CON",
        "C:\\Windows\\System32",
        "\\\\server\\share",
        "//etc//passwd",
        "/./etc/../etc/.",
        "/dev/zero",
        "/dev/stdin",
        "/proc/self/environ",
        "/proc/self/fd/0",
        "/sys/kernel",
        "/root/.ssh",
        "/tmp/../etc/shadow",
        "....//....//etc",
        "..%2f..%2fetc",
        "%00/etc",
        "; rm -rf ~",
        "$(id)",
        "`id`",
        "| cat /etc/passwd",
        "{root}/../../etc",
        "<script>alert(1)</script>",
        "../streets\0.png",
        "\u202egnp.stew",
        "~/../../etc",
        "-rf",
    ],
    ids=lambda text: ascii(text)[:20],
)
@pytest.mark.parametrize("resolve", [resolve_data_root, lambda text: resolve_data_file(text, "class table")])
def test_hostile_text_gets_a_sentence(lab_folders, monkeypatch, text, resolve):
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(lab_folders.other))
    with pytest.raises(LabError) as caught:
        resolve(text)
    assert len(str(caught.value)) < 1000


def test_neither_dots_nor_links_lead_out(lab_folders, tmp_path_factory, monkeypatch):
    outside = tmp_path_factory.mktemp("outside")
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(lab_folders.other))
    (lab_folders.other / "link").symlink_to(outside)
    for text in (
        str(lab_folders.other / "link"),
        f"{lab_folders.other}/../{outside.name}",
        os.path.relpath(outside, PROJECT),
    ):
        with pytest.raises(LabError, match="outside of the folders"):
            resolve_data_root(text)


def test_a_sibling_whose_name_begins_like_a_root_is_outside(lab_folders, monkeypatch):
    root, sibling = lab_folders.other / "data", lab_folders.other / "data-secret"
    root.mkdir()
    sibling.mkdir()
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(root))
    with pytest.raises(LabError, match="outside of the folders"):
        resolve_data_root(str(sibling))


def test_outside_says_nothing_about_what_exists(lab_folders, monkeypatch):
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(lab_folders.other))
    sentences = []
    for text in ("/etc", "/nosuch"):
        with pytest.raises(LabError) as caught:
            resolve_data_root(text)
        sentences.append(str(caught.value).replace(text, "X"))
    assert sentences[0] == sentences[1]


def test_a_file_a_loop_and_nothing_are_no_folders(lab_folders):
    (lab_folders.other / "file").write_text("hello")
    (lab_folders.other / "loop").symlink_to(lab_folders.other / "loop")
    for name in ("file", "file/deeper", "loop", "nothing"):
        with pytest.raises(LabError):
            resolve_data_root(str(lab_folders.other / name))


def test_roots_are_separated_as_in_path(monkeypatch, tmp_path):
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", os.pathsep.join([str(tmp_path / "a"), "", str(tmp_path / "b")]))
    assert data_roots() == (tmp_path / "a", tmp_path / "b")
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", "~")
    assert data_roots() == (Path.home().resolve(),)


def test_a_server_opens_its_data_folder_alone_unless_told_of_others(monkeypatch, tmp_path):
    monkeypatch.setenv("SEGLAB_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", "")
    assert PROJECT.parent in data_roots()
    only_the_data_folder()
    assert data_roots() == (tmp_path / "data",)
    with pytest.raises(LabError, match="outside of the folders.*SEGLAB_DATA_ROOTS"):
        resolve_data_root("~")
    monkeypatch.setenv("SEGLAB_DATA_ROOTS", str(tmp_path / "other"))
    only_the_data_folder()
    assert data_roots() == (tmp_path / "other",)


def test_a_user_without_a_home_is_no_fault(monkeypatch, tmp_path):
    def no_home() -> None:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    monkeypatch.setattr(Path, "expanduser", lambda self: no_home() if str(self).startswith("~") else self)
    monkeypatch.delenv("SEGLAB_DATA_ROOTS", raising=False)
    assert data_roots()
    with pytest.raises(LabError, match="no such home folder. Write the path without ~"):
        resolve_data_root("~/pictures")

"""Getting Cityscapes: login, archives from a stand-in for the site on this machine, and unpacking what may be hostile."""

import hashlib
import io
import json
import os
import socket
import stat
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest

from core.__main__ import USER_ERROR, main
from core.auth import User, set_current_user, shell_user
from core.data import download as module
from core.data.download import (
    FINE,
    OFFICIAL,
    PACKAGES,
    Session,
    count_frames,
    download,
    get_packages,
    lacking,
    login,
    target_folder,
    unpack,
)
from core.errors import LabError
from core.jobs.engine import JobStoppedError
from core.paths import PROJECT

USERNAME, PASSWORD = "student-8153", "Gruen&Blau=0x7f%"
PHOTOS, FINE_LABELS = FINE


def archive_of(entries: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive in memory."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", packing) as opened:
        for name, content in entries.items():
            opened.writestr(name, content)
    return file.getvalue()


def noise(size: int, seed: int) -> bytes:
    return hashlib.shake_128(bytes([seed])).digest(size)


def official(name: str) -> bytes:
    """A small archive in the layout of the official one: three frames of train, one of val, and the documents."""
    package = PACKAGES[name]
    entries = {"README": b"About Cityscapes.", "license.txt": b"For research and teaching."}
    for index, split in enumerate(("train", "train", "train", "val")):
        stem = f"{package.folder}/{split}/ulm/ulm_00000{index}_000019"
        entries[f"{stem}{package.ending}"] = noise(150_000, index)
    return archive_of(entries)


class Site:
    """Plays cityscapes-dataset.com on 127.0.0.1. What it does wrong is set by the tests."""

    def __init__(self) -> None:
        self.archives = {name: official(name) for name in FINE}
        self.requests: list[tuple[str, str | None]] = []
        self.honours_range = True
        self.drop_after: list[int] = []  # bytes, of the next answers
        self.wrong_md5 = False
        self.login_goes_to = "/downloads/"
        self.fails_with = 0
        self.hold: threading.Event | None = None
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def fetched(self) -> list[str | None]:
        """The Range of every request for an archive."""
        return [wanted for path, wanted in self.requests if path == "/file-handling/"]

    def close(self) -> None:
        if self.hold:
            self.hold.set()
        self.server.shutdown()
        self.server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def say(self, status: int, body: bytes = b"", **headers: str) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                if form == {"username": [USERNAME], "password": [PASSWORD], "submit": ["Login"]}:
                    self.say(302, Location=site.login_goes_to, Set_Cookie="session=good")
                else:
                    self.say(200, b"<p>Wrong.</p>", Content_Type="text/html")

            def do_GET(self) -> None:
                address = urlsplit(self.path)
                site.requests.append((address.path, self.headers.get("Range")))
                if site.fails_with:
                    return self.say(site.fails_with)
                if address.path == "/login":
                    return self.say(200, b"<form>", Content_Type="text/html")
                if "session=good" not in self.headers.get("Cookie", ""):
                    return self.say(302, Location="/login")
                if address.path == "/downloads/":
                    listed = [
                        {"name": name, "packageID": str(index), "size": f"{len(data) / 1024:.1f}KB", "thirdparty": "0"}
                        for index, (name, data) in enumerate(site.archives.items())
                    ]
                    return self.say(200, json.dumps(listed).encode())
                name = list(site.archives)[int(parse_qs(address.query)["packageID"][0])]
                data = site.archives[name]
                if address.path == "/md5-sum/":
                    md5 = hashlib.md5(data).hexdigest() if not site.wrong_md5 else "0" * 32
                    return self.say(200, f"{md5}  {name}\n".encode())
                self.archive(data)

            def archive(self, data: bytes) -> None:
                wanted = self.headers.get("Range")
                start = int(wanted[6:-1]) if wanted and site.honours_range else 0
                if wanted and site.honours_range and start >= len(data):
                    return self.say(416, Content_Range=f"bytes */{len(data)}")
                self.send_response(206 if wanted and site.honours_range else 200)
                self.send_header("Content-Type", "application/zip")
                self.send_header("Content-Length", str(len(data) - start))
                if wanted and site.honours_range:
                    self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
                self.end_headers()
                part = data[start:]
                if site.hold:
                    self.wfile.write(part[:200_000])
                    self.wfile.flush()
                    site.hold.wait(20)
                    part = part[200_000:]
                self.wfile.write(part[: site.drop_after.pop(0)] if site.drop_after else part)
                self.close_connection = True

        return Handler


@pytest.fixture
def site(monkeypatch):
    """The stand-in, and the lab told to go there."""
    stand_in = Site()
    monkeypatch.setenv("SEGLAB_CITYSCAPES_URL", stand_in.url)
    yield stand_in
    stand_in.close()


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "cityscapes"
    path.mkdir()
    return path


@pytest.fixture
def few_frames(monkeypatch):
    """Official counts as the stand-in's archives have them."""
    for name in FINE:
        monkeypatch.setitem(PACKAGES, name, replace(PACKAGES[name], frames={"train": 3, "val": 1}))


def silent(_what: str, _done: int, _total: int) -> None:
    pass


def fetch(folder: Path, names=(PHOTOS,), progress=silent) -> list[Path]:
    return download(login(USERNAME, PASSWORD), names, folder, progress)


def put(folder: Path, data: bytes, name: str = PHOTOS) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def files_under(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


# login


def test_good_credentials_open_a_session(site):
    assert isinstance(login(f" {USERNAME} ", PASSWORD), Session)


def test_wrong_credentials_are_said_in_words_that_hold_none(site):
    with pytest.raises(LabError, match="doesn't know this username") as caught:
        login(USERNAME, "not-this-one")
    assert "not-this-one" not in repr(caught.value) and USERNAME not in repr(caught.value)


@pytest.mark.parametrize(("username", "password"), [("", "x"), ("  ", "x"), ("x", "")])
def test_empty_credentials_are_not_sent(site, username, password):
    with pytest.raises(LabError, match="Type the username"):
        login(username, password)
    assert not site.requests


def test_no_network_is_said_in_words_and_the_error_drags_no_request_along(monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("SEGLAB_CITYSCAPES_URL", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(LabError, match="can't be reached") as caught:
            Session().post(f"{OFFICIAL}/login", data={"password": PASSWORD})
    assert caught.value.__context__ is None and caught.value.__cause__ is None


def test_a_site_in_trouble_is_said_in_words(site):
    site.fails_with = 503
    with pytest.raises(LabError, match="status 503.*Try again later"):
        login(USERNAME, PASSWORD)


def test_a_login_that_leads_to_another_site_is_refused(site):
    site.login_goes_to = "https://portal.example/accept"
    with pytest.raises(LabError, match="another site"):
        login(USERNAME, PASSWORD)
    site.login_goes_to = "https://www.cityscapes-dataset.com/downloads/"
    login(USERNAME, PASSWORD)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org",
        "http://127.0.0.1@example.org",
        "http://127.0.0.1.example.org",
        "https://a@b.example",
        "ftp://x",
        "x",
    ],
)
def test_another_address_must_be_safe(monkeypatch, url):
    monkeypatch.setenv("SEGLAB_CITYSCAPES_URL", url)
    with pytest.raises(LabError, match="must begin with https"):
        Session()


def test_a_session_talks_to_nobody_else(site):
    with pytest.raises(LabError, match="outside of cityscapes-dataset.com"):
        Session().get(f"{site.url}/login")
    with pytest.raises(LabError, match="outside of cityscapes-dataset.com"):
        Session().get(f"{OFFICIAL}.example.org/login")
    assert not site.requests


# download


def test_archives_arrive_whole_with_progress_and_without_a_word(site, folder, capfd):
    seen = []
    paths = fetch(folder, FINE, lambda *step: seen.append(step))
    assert [path.read_bytes() for path in paths] == list(site.archives.values())
    size = len(site.archives[PHOTOS])
    amounts = [done for what, done, _ in seen if what == f"Fetching {PHOTOS}"]
    assert amounts == sorted(set(amounts)) and amounts[-1] == size and len(amounts) > 3
    assert {total for what, _, total in seen if PHOTOS in what} == {size}
    assert capfd.readouterr() == ("", "")


def test_half_an_archive_is_gone_on_with(site, folder):
    put(folder, site.archives[PHOTOS][:70_000])
    seen = []
    (path,) = fetch(folder, progress=lambda *step: seen.append(step))
    assert path.read_bytes() == site.archives[PHOTOS]
    assert site.fetched() == ["bytes=70000-"] and min(done for _, done, _ in seen) > 70_000


def test_a_broken_connection_is_taken_up_where_it_broke(site, folder):
    site.drop_after = [200_000, 100_000]
    (path,) = fetch(folder)
    assert path.read_bytes() == site.archives[PHOTOS]
    first, second, third = (int(wanted[6:-1]) for wanted in site.fetched())
    assert first == 0 < second < third <= 300_000


def test_a_connection_that_brings_nothing_ends_in_words_and_keeps_what_came(site, folder):
    site.drop_after = [200_000, 0]
    with pytest.raises(LabError, match="connection broke.*goes on from there"):
        fetch(folder)
    came = (folder / PHOTOS).read_bytes()
    assert len(came) > 100_000 and site.archives[PHOTOS].startswith(came)
    (path,) = fetch(folder)
    assert path.read_bytes() == site.archives[PHOTOS]


def test_a_server_that_ignores_range_does_not_spoil_the_file(site, folder):
    site.honours_range = False
    put(folder, site.archives[PHOTOS][:70_001])
    (path,) = fetch(folder)
    assert path.read_bytes() == site.archives[PHOTOS]


def test_a_complete_archive_is_not_fetched_again(site, folder):
    put(folder, site.archives[PHOTOS])
    fetch(folder)
    assert site.fetched() == []


@pytest.mark.parametrize("extra", [b"", b"more"])
def test_an_archive_of_full_length_but_wrong_content_is_fetched_anew(site, folder, extra):
    size = len(site.archives[PHOTOS])
    put(folder, bytes(size) + extra)
    (path,) = fetch(folder)
    assert path.read_bytes() == site.archives[PHOTOS]
    assert site.fetched() == [f"bytes={size + len(extra)}-", "bytes=0-"]


def test_a_wrong_checksum_removes_the_file_and_says_so(site, folder):
    site.wrong_md5 = True
    with pytest.raises(LabError, match="arrived damaged.*removed.*start again"):
        fetch(folder)
    assert not (folder / PHOTOS).exists()
    site.wrong_md5 = False
    fetch(folder)


def test_stop_keeps_what_has_come(site, folder):
    done = []

    def stop_at_the_third(_what, count, _total):
        if len(done) >= 2:
            raise JobStoppedError
        done.append(count)

    with pytest.raises(JobStoppedError):
        fetch(folder, progress=stop_at_the_third)
    came = (folder / PHOTOS).read_bytes()
    assert 0 < len(came) < len(site.archives[PHOTOS]) and site.archives[PHOTOS].startswith(came)
    assert done[-1] == len(came)


def test_a_package_the_account_may_not_have_is_named(site, folder):
    with pytest.raises(LabError, match=r"may not download gtCoarse.zip\. Ask"):
        fetch(folder, ["gtCoarse.zip"])


@pytest.mark.parametrize("name", ["../evil.zip", "other.zip"])
def test_only_official_names_are_asked_for(site, folder, name):
    with pytest.raises(LabError, match="no package .*Choose from: leftImg8bit_trainvaltest.zip"):
        fetch(folder, [name])


def test_a_session_that_ended_is_said_in_words(site, folder):
    with pytest.raises(LabError, match="gave no list"):
        download(Session(), [PHOTOS], folder, silent)


def test_a_page_in_place_of_an_archive_leaves_the_file_as_it_was(site, folder):
    half = site.archives[PHOTOS][:70_000]
    put(folder, half)
    session = login(USERNAME, PASSWORD)

    def forget(_what, _done, _total):
        raise AssertionError("a page is no progress")

    original = session.request

    def request(method, url, **options):
        if "file-handling" in url:
            session.cookies.clear()
        return original(method, url, **options)

    session.request = request
    with pytest.raises(LabError, match="page in place of the archive"):
        download(session, [PHOTOS], folder, forget)
    assert (folder / PHOTOS).read_bytes() == half


def test_an_archive_far_larger_than_published_is_not_taken(site, folder, monkeypatch):
    session = login(USERNAME, PASSWORD)
    monkeypatch.setattr(module, "_offered", lambda _session: {PHOTOS: module._Offer("0", 1000)})
    with pytest.raises(LabError, match="far larger than published"):
        download(session, [PHOTOS], folder, silent)
    assert (folder / PHOTOS).stat().st_size == 0


def test_a_small_disk_is_said_before_anything_is_fetched(site, folder, monkeypatch):
    usage = module.shutil.disk_usage(folder)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _path: usage._replace(free=module.SPARE + 1_000_000))
    with pytest.raises(LabError, match="1.0 GB free, but 1.0 GB are needed"):
        fetch(folder)
    assert site.fetched() == []
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _path: usage._replace(free=module.SPARE + 1_500_000))
    fetch(folder)


# unpack


def test_an_official_archive_is_unpacked_with_its_documents(folder, few_frames):
    seen = []
    for name in FINE:
        unpack(put(folder, official(name), name), folder, lambda *step: seen.append(step))
        assert lacking(name, folder) == ""
        assert count_frames(name, folder) == {"train": 3, "val": 1}
        (folder / name).unlink()
    assert (folder / "leftImg8bit/train/ulm/ulm_000001_000019_leftImg8bit.png").read_bytes() == noise(150_000, 1)
    assert (folder / "gtFine_trainvaltest-license.txt").read_bytes() == b"For research and teaching."
    assert (folder / "leftImg8bit_trainvaltest-README").exists()
    assert len(files_under(folder)) == 12
    for name in FINE:
        steps = [(done, total) for what, done, total in seen if name in what]
        assert [done for done, _ in steps] == sorted({done for done, _ in steps})
        assert steps[-1][0] == steps[-1][1] and len({total for _, total in steps}) == 1


def test_what_is_missing_is_said_by_split(folder):
    unpack(put(folder, official(PHOTOS)), folder, silent)
    assert lacking(PHOTOS, folder) == "leftImg8bit is not complete: train 3 of 2,975, val 1 of 500, test 0 of 1,525."


def test_an_interrupted_unpacking_goes_on(folder):
    archive = put(folder, official(PHOTOS))
    reports = []

    def stop_at_the_fifth(*step):
        if len(reports) > 3:
            raise JobStoppedError
        reports.append(step)

    with pytest.raises(JobStoppedError):
        unpack(archive, folder, stop_at_the_fifth)
    images = sorted(folder.rglob("*.png"))
    assert len(images) == 2 and not list(folder.rglob("*.part"))
    before = images[0].stat().st_mtime_ns
    images[1].write_bytes(bytes(150_000))  # of the right size, but not what the archive holds
    torn = images[0].parent / ".ulm_000002_000019_leftImg8bit.png.part"  # of a process that was killed
    torn.write_bytes(b"torn")
    unpack(archive, folder, silent)
    assert images[0].stat().st_mtime_ns == before
    assert images[1].read_bytes() == noise(150_000, 1)
    assert len(list(folder.rglob("*.png"))) == 4 and not torn.exists()


GOOD = "leftImg8bit/train/ulm/good_leftImg8bit.png"
PLACE = "leftImg8bit/train/ulm"


@pytest.mark.parametrize(
    "name",
    [
        "/etc/evil.png",
        "../evil.png",
        f"{PLACE}/../../../../evil.png",
        "leftImg8bit/./evil.png",
        "leftImg8bit//evil.png",
        "C:/evil.png",
        f"{PLACE}\\..\\evil.png",
        f"{PLACE}/evil\n.png",
        "leftImg8bit",
        "gtFine/train/ulm/evil.png",
        "evil.png",
        ".bashrc",
        "README/evil.png",
        GOOD.upper().replace("LEFTIMG8BIT/", "leftImg8bit/", 1),
    ],
)
def test_an_archive_with_a_name_that_leads_elsewhere_is_refused_before_anything_is_written(folder, name):
    archive = put(folder, archive_of({GOOD: b"good", name: b"evil"}))
    with pytest.raises(LabError, match="not the official archive: .*Nothing was unpacked"):
        unpack(archive, folder, silent)
    assert files_under(folder.parent) == [archive]


def test_a_name_with_a_zero_byte_is_refused(folder):
    data = archive_of({GOOD: b"good", f"{PLACE}/a_b.png": b"evil"}).replace(b"a_b.png", b"a\0b.png")
    with pytest.raises(LabError, match="leads elsewhere"):
        unpack(put(folder, data), folder, silent)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_are_refused(folder, kind):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr(GOOD, b"good")
        entry = zipfile.ZipInfo(f"{PLACE}/link.png")
        entry.external_attr = (kind | 0o777) << 16
        opened.writestr(entry, "/etc/passwd")
    archive = put(folder, file.getvalue())
    with pytest.raises(LabError, match="a link or a device"):
        unpack(archive, folder, silent)
    assert files_under(folder) == [archive]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_is_refused(folder):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr(GOOD, b"one")
        opened.writestr(GOOD, b"two")
    with pytest.raises(LabError, match="a name twice"):
        unpack(put(folder, file.getvalue()), folder, silent)


def test_other_packings_are_refused(folder):
    with pytest.raises(LabError, match="packed in a way"):
        unpack(put(folder, archive_of({GOOD: b"x" * 100}, zipfile.ZIP_LZMA)), folder, silent)


def test_an_archive_that_grows_beyond_measure_is_refused(folder, monkeypatch):
    monkeypatch.setitem(PACKAGES, PHOTOS, replace(PACKAGES[PHOTOS], size=1000))
    archive = put(folder, archive_of({GOOD: bytes(10_001)}))
    with pytest.raises(LabError, match="it unpacks to"):
        unpack(archive, folder, silent)
    unpack(put(folder, archive_of({GOOD: bytes(10_000)})), folder, silent)


def test_an_archive_of_too_many_entries_is_refused(folder, monkeypatch):
    monkeypatch.setattr(module, "MAX_ENTRIES", 5)
    with pytest.raises(LabError, match="more than 5 entries"):
        unpack(put(folder, official(PHOTOS)), folder, silent)


def test_a_full_disk_is_said_before_anything_is_written(folder, monkeypatch):
    usage = module.shutil.disk_usage(folder)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _path: usage._replace(free=module.SPARE + 100_000))
    archive = put(folder, official(PHOTOS))
    with pytest.raises(LabError, match="GB free, but"):
        unpack(archive, folder, silent)
    assert files_under(folder) == [archive]


@pytest.mark.parametrize("cut", [100, -30])
def test_half_an_archive_is_damaged(folder, cut):
    with pytest.raises(LabError, match="damaged or no zip"):
        unpack(put(folder, official(PHOTOS)[:cut]), folder, silent)


def test_a_flipped_bit_is_found_and_leaves_no_torn_file(folder):
    data = bytearray(archive_of({GOOD: noise(150_000, 1)}, zipfile.ZIP_STORED))
    data[75_000] ^= 1
    archive = put(folder, bytes(data))
    with pytest.raises(LabError, match="damaged"):
        unpack(archive, folder, silent)
    assert files_under(folder) == [archive]


def test_an_entry_that_lies_about_its_size_writes_no_more_than_it_said(folder):
    data = archive_of({GOOD: bytes(1_000_000)})
    end = data.rindex(b"PK\x01\x02")
    lie = data[: end + 24] + (10).to_bytes(4, "little") + data[end + 28 :]
    with pytest.raises(LabError, match="damaged"):
        unpack(put(folder, lie), folder, silent)
    assert not list(folder.rglob("*png*"))


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_folder_that_is_a_link_is_not_written_through(folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / "leftImg8bit").symlink_to(elsewhere)
    with pytest.raises(LabError, match="is a link"):
        unpack(put(folder, official(PHOTOS)), folder, silent)
    assert not list(elsewhere.iterdir())


# all of it


def test_packages_are_fetched_unpacked_and_cleared_away_and_not_asked_for_again(site, folder, few_frames):
    logins = []

    def connect():
        logins.append(1)
        return login(USERNAME, PASSWORD)

    assert get_packages(connect, FINE, folder, silent) == dict.fromkeys(FINE, "")
    assert len(list(folder.rglob("*.png"))) == 8 and not list(folder.glob("*.zip"))
    assert get_packages(connect, FINE, folder, silent) == dict.fromkeys(FINE, "")
    assert logins == [1]


def test_archives_stay_when_asked_or_incomplete(site, folder, few_frames, monkeypatch):
    get_packages(lambda: login(USERNAME, PASSWORD), [PHOTOS], folder, silent, keep_archives=True)
    assert (folder / PHOTOS).exists()
    monkeypatch.undo()
    monkeypatch.setenv("SEGLAB_CITYSCAPES_URL", site.url)
    result = get_packages(lambda: login(USERNAME, PASSWORD), [PHOTOS], folder, silent)
    assert (folder / PHOTOS).exists() and "train 3 of 2,975" in result[PHOTOS]
    assert len(site.fetched()) == 1


def test_a_folder_is_made_only_where_data_may_lie(lab_folders, tmp_path, monkeypatch):
    assert target_folder(str(tmp_path / "new")) == tmp_path / "new"
    assert (tmp_path / "new").is_dir()
    assert target_folder(str(tmp_path / "new")) == tmp_path / "new"
    (tmp_path / "file").write_text("")
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    for text, sentence in (
        ("", "No data folder"),
        (str(tmp_path / "none" / "deep"), "There is no folder"),
        (str(outside / "x"), "lies outside"),
        (str(outside), "lies outside"),
        (str(tmp_path / ".."), "lies outside"),
        (str(tmp_path / "file"), "is a file"),
    ):
        with pytest.raises(LabError, match=sentence):
            target_folder(text)
    assert not outside.exists()


@pytest.mark.parametrize(
    "cached", ["runs", "runs/20260101-000000-unet-abcd/request.json", "runs/.sweeps", "cache/jobs"]
)
def test_no_data_goes_where_the_lab_keeps_its_own_things(lab_folders, monkeypatch, cached):
    monkeypatch.setenv("SEGLAB_CACHE", str(lab_folders.other / "cache"))
    folder = lab_folders.other / cached
    folder.parent.mkdir(parents=True, exist_ok=True)
    (lab_folders.other / "link").symlink_to(folder.parent)
    before = sorted(lab_folders.other.rglob("*"))
    for path in (folder, lab_folders.other / "link" / folder.name):
        with pytest.raises(LabError, match="where the lab keeps things of its own"):
            target_folder(str(path))
    assert sorted(lab_folders.other.rglob("*")) == before


def test_who_is_no_admin_makes_folders_in_the_data_folder_and_the_named_roots_alone(lab_folders, monkeypatch):
    deep = lab_folders.other / "deep"
    deep.mkdir()
    assert target_folder(str(deep / "labs")).is_dir()
    set_current_user(lambda: User("ann@x.org", "Ann"))
    try:
        for path in (deep / "anns", deep / "labs"):
            with pytest.raises(LabError, match="lies directly in none of .*Name a folder that does, or ask an admin"):
                target_folder(str(path))
        assert target_folder(str(lab_folders.other / "anns")).is_dir() and target_folder(str(deep)) == deep
        monkeypatch.delenv("SEGLAB_DATA_ROOTS")
        monkeypatch.setenv("HOME", str(lab_folders.other))  # one of the roots where none is named
        with pytest.raises(LabError, match="lies directly in none of"):
            target_folder(str(lab_folders.other / "anns"))
        assert target_folder(str(lab_folders.data / "anns")).is_dir()
        (lab_folders.data / "anns").rmdir()
        monkeypatch.setenv("SEGLAB_READ_ONLY", "1")
        with pytest.raises(LabError, match="read-only"):
            target_folder(str(lab_folders.data / "bobs"))
        assert not (lab_folders.data / "bobs").exists()
    finally:
        set_current_user(shell_user)


def test_the_command_prints_one_object_and_what_next(site, lab_folders, few_frames, capsys, monkeypatch):
    arguments = ["get", "cityscapes", "--into", str(lab_folders.other / "cs"), "--credentials-stdin"]
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{USERNAME}\n{PASSWORD}\n"))
    assert main([*arguments, "--json"]) == 0
    message = capsys.readouterr()
    assert json.loads(message.out) == {"root": str(lab_folders.other / "cs"), "lacking": dict.fromkeys(FINE, "")}
    assert message.err == ""
    assert main(arguments) == 0
    assert f"python -m core doctor {lab_folders.other / 'cs'}" in capsys.readouterr().out


def test_the_command_asks_on_the_terminal(site, lab_folders, few_frames, capsys, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda: USERNAME)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: "wrong")
    assert main(["get", "cityscapes", "--into", str(lab_folders.other / "cs")]) == USER_ERROR
    assert "doesn't know this username" in capsys.readouterr().err


def test_credentials_show_nowhere_while_the_command_runs(site, lab_folders, tmp_path, wait_until):
    site.hold = threading.Event()
    command = [sys.executable, "-X", "utf8", "-m", "core", "get", "cityscapes", "--into", str(tmp_path / "cs")]
    child = subprocess.Popen(
        [*command, "--credentials-stdin", "--packages", PHOTOS],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"SEGLAB_CACHE": str(tmp_path / "cache")},
    )
    arriving = tmp_path / "cs" / PHOTOS
    try:
        child.stdin.write(f"{USERNAME}\n{PASSWORD}\n".encode())
        child.stdin.close()
        wait_until(lambda: arriving.exists() and arriving.stat().st_size > 0, 30)
        process = psutil.Process(child.pid)
        seen = " ".join([*process.cmdline(), *process.environ().values()])
        child.terminate()
        assert child.wait(30) != 0
        site.hold.set()
        seen += child.stdout.read().decode()
    finally:
        child.kill()
        child.stdout.close()
    assert arriving.stat().st_size > 0, "what has come is kept"
    assert "Traceback" not in seen
    for secret in (USERNAME, PASSWORD):
        assert secret not in seen
        assert not [path for path in files_under(tmp_path) if secret.encode() in path.read_bytes()]

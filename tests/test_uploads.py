"""Pictures from strangers: every honest kind is read right, every hostile one is refused in words."""

import contextlib
import io
import os
import pickle
import struct
import time
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from core.errors import LabError
from core.inference import batches, uploads
from core.inference.batches import MAX_IMAGES, VIDEO_FRAMES, Upload, UploadBudget, decode_batch, shown_name
from core.inference.process import DECODER_BYTES
from core.inference.uploads import MAX_BYTES, MAX_SIDE, WORKING_SIDE, decode_upload
from core.inference.worker import InferenceWorker, _DecoderUnpickler


def image_of(height=40, width=60):
    """A smooth picture: left dark, right light, top red, bottom blue."""
    across = np.linspace(0, 255, width)[None, :].repeat(height, axis=0)
    down = np.linspace(0, 255, height)[:, None].repeat(width, axis=1)
    return np.stack([255 - down, across, down], axis=2).astype(np.uint8)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, 12),
        ("JPEG", {"quality": 95}, 12),
        ("JPEG", {"quality": 95, "progressive": True}, 12),
    ],
)
def test_common_kinds(kind, options, tolerance):
    result = decode_upload(encoded(image_of(), kind, **options))
    assert result.shape == (40, 60, 3) and result.dtype == np.uint8
    assert np.abs(result.astype(int) - image_of()).max() <= tolerance


def test_the_result_may_be_written_to():
    result = decode_upload(encoded(image_of(), "PNG"))
    result[0, 0] = 0


def test_grey_palette_and_bilevel():
    grey = image_of()[:, :, 1]
    assert (decode_upload(encoded(grey, "PNG")) == grey[:, :, None]).all()
    palette = Image.fromarray(image_of()).quantize(64)
    assert (decode_upload(encoded(palette, "PNG")) == np.asarray(palette.convert("RGB"))).all()
    bilevel = Image.fromarray(grey > 128)
    assert bilevel.mode == "1"
    assert (decode_upload(encoded(bilevel, "PNG")) == np.asarray(bilevel.convert("RGB"))).all()


def test_transparent_parts_are_white():
    rgba = np.dstack([image_of(), np.full((40, 60), 255, np.uint8)])
    rgba[:20, :, 3] = 0
    result = decode_upload(encoded(rgba, "PNG"))
    assert (result[:20] == 255).all() and (result[20:] == image_of()[20:]).all()
    grey_alpha = Image.fromarray(rgba).convert("LA")
    assert (decode_upload(encoded(grey_alpha, "PNG"))[:20] == 255).all()
    palette = Image.fromarray(image_of()).quantize(16)
    palette.info["transparency"] = palette.getpixel((0, 0))
    assert (decode_upload(encoded(palette, "PNG", transparency=palette.getpixel((0, 0))))[0, 0] == 255).all()


def test_sixteen_bits_are_brought_down_not_cut_off():
    grey = image_of()[:, :, 1].astype(np.uint16)
    deep = grey * 256 + 255 - grey
    for kind in ("PNG", "TIFF"):
        result = decode_upload(encoded(deep, kind))
        assert np.abs(result[:, :, 0].astype(int) - image_of()[:, :, 1]).max() <= 1


def test_a_float_tiff_is_spread_over_its_range():
    result = decode_upload(encoded(Image.fromarray(image_of()[:, :, 1].astype(np.float32) / 255), "TIFF"))
    assert np.abs(result[:, :, 0].astype(int) - image_of()[:, :, 1]).max() <= 2


def test_cmyk_becomes_rgb():
    result = decode_upload(encoded(Image.fromarray(image_of()).convert("CMYK"), "JPEG", quality=95))
    assert np.abs(result.astype(int) - image_of()).mean() < 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_stands_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    # What the camera stores is the inverse of the turn that the number asks for.
    stored = {
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a), 7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation](image_of())  # fmt: skip
    for kind in ("PNG", "JPEG"):
        result = decode_upload(
            encoded(np.ascontiguousarray(stored), kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
        )
        assert result.shape == (40, 60, 3)
        assert np.abs(result.astype(int) - image_of()).max() <= 12


def test_an_animation_gives_its_first_frame():
    frames = [Image.fromarray(image_of()), Image.fromarray(image_of()[::-1])]
    for kind in ("TIFF", "WEBP", "PNG"):
        data = encoded(
            frames[0], kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
        )
        assert (decode_upload(data) == image_of()).all()


@pytest.mark.parametrize(("height", "width"), [(3000, 4000), (4000, 3000), (20, 11_000)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_large_picture_is_reduced_and_keeps_its_shape(height, width, kind):
    result = decode_upload(encoded(image_of(height, width), kind))
    assert max(result.shape) == WORKING_SIDE
    expected = max(1, round(min(height, width) * WORKING_SIDE / max(height, width)))
    assert min(result.shape[:2]) == pytest.approx(expected, abs=1)
    if expected > 100:
        assert abs(int(result[0, 0, 0]) - 255) < 15 and abs(int(result[-1, -1, 2]) - 255) < 15


# ---- what is refused


def png(width, height, depth=8, color=0, data=b"\0" * 99):
    """A PNG whose header says whatever it is told to."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


BOMB = png(20_000, 20_000, depth=1, data=b"\0" * (2501 * 20_000))


def test_a_bomb_is_refused_by_its_size_without_being_decoded():
    assert len(BOMB) < 100_000
    with pytest.raises(LabError, match="far more pixels than the 40 million that are the limit"):
        decode_upload(BOMB)


@pytest.mark.parametrize(
    ("width", "height"), [(7000, 7000), (10_000, 9000), (14_000, 13_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1)]
)
def test_too_many_pixels_are_told(width, height):
    with pytest.raises(LabError, match="40 million"):
        decode_upload(png(width, height))


@pytest.mark.parametrize(("width", "height"), [(MAX_SIDE + 1, 20), (20, MAX_SIDE + 1), (15, 100), (100, 15), (1, 1)])
def test_sides_have_limits(width, height):
    with pytest.raises(LabError, match=f"{width} x {height} pixels"):
        decode_upload(png(width, height))


def test_a_file_has_a_limit():
    with pytest.raises(LabError, match="the limit is 20.0 MB"):
        decode_upload(b"\0" * (MAX_BYTES + 1))


def cut(kind):
    data = encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8), kind)
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"\0" * 1000,
        "Straße".encode(),
        b'<svg xmlns="http://www.w3.org/2000/svg" width="100" height="100"><rect width="9"/></svg>',
        b"%PDF-1.4\n",
        b"PK\x03\x04" + b"\0" * 100,
        b"\x89PNG\r\n\x1a\n",
        b"\xff\xd8\xff\xe0" + b"\0" * 50,
        encoded(image_of(), "GIF"),
        encoded(image_of(), "ICO"),
        encoded(image_of(), "PPM"),
        encoded(image_of(), "TGA"),
        encoded(image_of(), "PCX"),
        encoded(Image.fromarray(image_of()), "EPS"),
        cut("PNG"),
        cut("JPEG"),
        cut("WEBP"),
        cut("TIFF"),
        cut("BMP"),
        png(0, 0),
        png(100, 100, depth=3),
        png(100, 100, color=9),
        png(100, 100, data=b""),
    ],
    ids=lambda data: ascii(data[:12]),
)
def test_what_is_no_picture_is_a_sentence(data):
    with pytest.raises(LabError) as caught:
        decode_upload(data)
    assert "can't be read as a picture" in str(caught.value) or "pixels" in str(caught.value)


def test_flipped_bytes_never_escape_as_another_error(recwarn):
    dice = np.random.default_rng(0)
    for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP"):
        whole = bytearray(encoded(image_of(), kind))
        for _ in range(60):
            broken = bytearray(whole)
            for folder in dice.integers(0, len(broken), 5):
                broken[folder] = dice.integers(0, 256)
            with contextlib.suppress(LabError):
                assert decode_upload(bytes(broken)).ndim == 3
    assert not recwarn.list


def test_memory_running_out_is_a_sentence(monkeypatch):
    def exhausted(*_):
        raise MemoryError

    monkeypatch.setattr(uploads, "decode_image", exhausted)
    with pytest.raises(LabError, match="not enough memory left"):
        decode_upload(encoded(image_of(), "PNG"))


# ---- several pictures in one upload


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def film(path, count=30, size=(64, 48)):
    """An MP4 whose frames grow brighter."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, size)
    for index in range(count):
        writer.write(np.full((size[1], size[0], 3), index * 8, np.uint8))
    writer.release()
    return path.read_bytes()


def test_a_zip_gives_its_pictures_in_the_order_of_their_names():
    first, second = image_of(), image_of()[::-1].copy()
    files = {
        "b/two.png": encoded(second, "PNG"),
        "a/one.png": encoded(first, "PNG"),
        "notes.txt": b"no picture",
        "__MACOSX/._one.png": b"a Mac's own",
        "c/broken.png": b"\x89PNG",
    }
    result = list(decode_batch("mine.zip", zipped(files)))
    assert [each.name for each in result] == ["one.png", "two.png", "broken.png"]
    assert (result[0].image == first).all() and (result[1].image == second).all()
    assert result[2].image is None and "can't be read as a picture" in result[2].problem


def test_a_batch_is_decoded_only_as_far_as_there_is_room():
    data = zipped({f"{index}.png": encoded(image_of(), "PNG") for index in range(9)})
    nbytes = image_of().nbytes
    for budget, count in ((UploadBudget(3), 3), (UploadBudget(pixel_bytes=4 * nbytes), 4), (UploadBudget(0), 0)):
        *shown, rest = decode_batch("mine.zip", data, budget=budget)
        assert [each.name for each in shown] == [f"{index}.png" for index in range(count)]
        assert rest.image is None and rest.name == f"{count}.png" and "isn't shown" in rest.problem
    assert UploadBudget(3, 100).after([np.zeros((2, 4, 3), np.uint8)]) == UploadBudget(2, 76)


def test_a_zip_of_too_many_pictures_gives_the_first_and_says_so():
    data = zipped({f"{index:03d}.png": encoded(image_of(), "PNG") for index in range(MAX_IMAGES + 3)})
    *result, rest = decode_batch("mine.zip", data)
    assert len(result) == MAX_IMAGES and all(each.image is not None for each in result)
    assert rest.name == "3 more" and "first" in rest.problem


def test_what_a_zip_unfolds_to_is_counted_not_believed(monkeypatch):
    monkeypatch.setattr(batches, "MAX_UNPACKED", 50_000)
    data = zipped({f"{index}.png": b"\0" * 40_000 for index in range(5)})
    assert len(data) < 2_000
    with pytest.raises(LabError, match="unfolds to more than"):
        list(decode_batch("bomb.zip", data))


def test_a_video_gives_frames_at_even_distances(tmp_path):
    result = list(decode_batch("ride.mp4", film(tmp_path / "film.mp4")))
    assert len(result) == VIDEO_FRAMES
    brightness = [each.image.mean() for each in result]
    assert np.diff(brightness).min() > 10, "each frame is brighter than the one before"
    assert result[0].image.shape == (48, 64, 3) and result[0].name == "ride.mp4, frame 2"


def test_a_video_that_is_too_long_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "MAX_VIDEO_FRAMES", 20)
    with pytest.raises(LabError, match="has 30 frames; the limit is 20"):
        list(decode_batch("ride.mp4", film(tmp_path / "film.mp4")))


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd.png", "passwd.png"),
        ("C:\\street\\one.jpg", "one.jpg"),
        ("a\0b\u202egnp.png", "abgnp.png"),
        ("", "picture"),
        ("x" * 300 + ".jpeg", "x" * 52 + "….jpeg"),
    ],
    ids=["climbing", "of Windows", "with signs that hide", "empty", "long"],
)
def test_a_name_is_shown_and_never_a_path(name, shown):
    assert shown_name(name) == shown


# ---- bad uploads, through the process that decodes them

SECONDS = 2.0
MUTATIONS = 1000
"""How many good files are broken at random."""


def chunked(*chunks):
    """A small PNG with chunks of one's own before its pixels."""
    data = encoded(image_of(), "PNG")
    extra = b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    return data[:33] + extra + data[33:]


def bmp(width, height):
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 200, 0, 0, 54) + header


def tiff(width, height, following=0):
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
    tags += [(278, 4, 1, height), (279, 4, 1, 100)]
    rows = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(tags)) + rows + struct.pack("<I", following)


def jpeg(width, height):
    data = bytearray(encoded(image_of(), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def locked_zip():
    data = bytearray(zipped({"a.png": encoded(image_of(), "PNG")}))
    for mark, distance in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + distance] |= 1
    return bytes(data)


TAKEN = ("animated WebP", "PNG with ten thousand notes")
"""What of the handmade may be a picture in the end: its first frame, or what is left without the notes."""


def handmade(folder):
    """32 uploads that want to harm, by what they are."""
    animation = [Image.fromarray(np.full((64, 64, 3), index * 7, np.uint8)) for index in range(30)]
    zeros = zlib.compress(b"\0" * 50_000_000)
    movie = film(folder / "film.mp4")
    return {
        "empty": b"",
        "text called png": b"hello",
        "PNG bomb": BOMB,
        "PNG of 2^31 a side": png(2**31 - 1, 2**31 - 1),
        "PNG of no side": png(0, 0),
        "PNG zTXt bomb": chunked((b"zTXt", b"Comment\0\0" + zeros)),
        "PNG iTXt bomb": chunked((b"iTXt", b"Comment\0\1\0\0\0" + zeros)),
        "PNG iCCP bomb": chunked((b"iCCP", b"icc\0\0" + zeros)),
        "PNG with ten thousand notes": chunked(*[(b"tEXt", b"a\0b")] * 10_000),
        "PNG without pixels": png(4000, 4000, data=b""),
        "truncated PNG": cut("PNG"),
        "truncated JPEG": cut("JPEG"),
        "truncated WebP": cut("WEBP"),
        "JPEG of 65,500 a side": jpeg(65_500, 65_500),
        "JPEG with ten thousand comments": b"\xff\xd8" + b"\xff\xfe\0\x04ab" * 10_000,
        "TIFF of 2^31 a side": tiff(2**31 - 1, 2**31 - 1),
        "TIFF that follows itself": tiff(64, 64, following=8),
        "TIFF without pixels": tiff(4000, 4000),
        "BMP of negative height": bmp(100, -(2**31) + 1),
        "BMP of 2^31 a side": bmp(2**31 - 1, 2**31 - 1),
        "animated WebP": encoded(animation[0], "WEBP", save_all=True, append_images=animation[1:]),
        "animated GIF": encoded(animation[0], "GIF", save_all=True, append_images=animation[1:]),
        "EPS": encoded(Image.fromarray(image_of()), "EPS"),
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "PDF": b"%PDF-1.4\n",
        "ZIP in a ZIP": zipped({"inner.zip": zipped({"a.png": encoded(image_of(), "PNG")})}),
        "ZIP bomb": zipped({f"{number}.png": b"\0" * 30_000_000 for number in range(4)}),
        "ZIP that climbs out": zipped({"../../../etc/cron.d/x.png": b"no picture"}),
        "ZIP locked": locked_zip(),
        "ZIP of six thousand": zipped({f"{number}.png": b"" for number in range(6000)}),
        "playlist called mp4": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        "truncated video": movie[: len(movie) // 2],
    }


def mutations(folder, count):
    """Good files, each with bytes changed, cut out, doubled or left off; the same ones every time."""
    dice = np.random.default_rng(0)
    good = [encoded(image_of(), kind) for kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP")]
    good += [zipped({"a.png": good[0], "b.jpg": good[1]}), film(folder / "good.mp4", count=8)]
    for index in range(count):
        data = bytearray(good[index % len(good)])
        for _ in range(int(dice.integers(1, 6))):
            at, length = int(dice.integers(0, len(data))), int(dice.integers(1, 40))
            match int(dice.integers(0, 4)):
                case 0:
                    data[at] = int(dice.integers(0, 256))
                case 1:
                    del data[at : at + length]
                case 2:
                    data[at:at] = data[at : at + length]
                case _:
                    data[at : at + length] = dice.integers(0, 256, length, dtype=np.uint8).tobytes()
        if dice.random() < 0.2:
            del data[int(dice.integers(1, len(data))) :]
        yield f"mutation {index}", bytes(data)


def peak_bytes(pid):
    """The largest resident size that a process has had."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) * 1024


@pytest.mark.skipif(not Path("/proc/self/environ").is_file(), reason="only Linux shows a process's variables")
def test_the_decoder_inherits_no_login(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("SEGLAB_TOKEN", "a-token-of-this-test")
    worker = InferenceWorker()
    try:
        assert worker.decode(encoded(image_of(), "PNG")).shape == image_of().shape
        inherited = Path(f"/proc/{worker.decoder_pid}/environ").read_bytes().split(b"\0")
    finally:
        worker.close()
    names = {each.partition(b"=")[0].decode() for each in inherited}
    assert "PATH" in names and not names & {"HF_TOKEN", "SEGLAB_TOKEN"}


def test_a_decoder_that_was_taken_over_answers_with_arrays_and_sentences_alone():
    for answer in (Upload("a", image_of()), LabError("No."), image_of(), np.asfortranarray(image_of()), None):
        read = _DecoderUnpickler(io.BytesIO(pickle.dumps(answer, pickle.HIGHEST_PROTOCOL))).load()
        assert type(read) is type(answer)
    for hostile in (os.getcwd, Path("x")):
        with pytest.raises(pickle.UnpicklingError):
            _DecoderUnpickler(io.BytesIO(pickle.dumps(hostile))).load()


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="only Linux tells a process's largest size")
def test_bad_uploads_are_a_sentence_each_in_time_and_within_memory(tmp_path, figure, record_property):
    worker = InferenceWorker()
    good = encoded(image_of(), "PNG")
    worker.decode(good)  # its start is not theirs
    pid, slowest, peak, deaths, refused = worker.decoder_pid, ("", 0.0), 0, 0, 0
    bad = handmade(tmp_path)
    assert len(bad) == 32
    try:
        for name, data in [*bad.items(), *mutations(tmp_path, MUTATIONS)]:
            began = time.perf_counter()
            try:
                result = worker.decode_batch(name, data)
                assert all(each.image is None or each.image.ndim == 3 for each in result)
                sentences = [each.problem for each in result if each.problem]
            except LabError as error:
                sentences = [str(error)]
            spent = time.perf_counter() - began
            if spent >= SECONDS:  # a hang is one every time; a machine that was busy elsewhere is not
                began = time.perf_counter()
                with suppress(LabError):
                    worker.decode_batch(name, data)
                spent = time.perf_counter() - began
            slowest = max(slowest, (name, spent), key=lambda pair: pair[1])
            assert spent < SECONDS, f"'{name}' took {spent:.1f} s"
            refused += bool(sentences)
            assert sentences or name in TAKEN or name not in bad, f"'{name}' was taken for a picture"
            for sentence in sentences:
                assert sentence[0].isupper() and sentence.endswith(".") and "Traceback" not in sentence
            if worker.decoder_pid != pid:  # a decoder died in native code; the next upload has a fresh one
                deaths += 1
                worker.decode(good)
                pid = worker.decoder_pid
            peak = max(peak, peak_bytes(pid))
    finally:
        worker.close()
    assert peak < DECODER_BYTES
    record_property("faults", len(bad) + MUTATIONS)
    figure(
        f"{32 + MUTATIONS} bad uploads: {refused} refused in words, slowest {slowest[1]:.2f} s ({slowest[0]}), "
        f"peak {peak / 2**20:.0f} MiB, {deaths} decoders died and were replaced"
    )

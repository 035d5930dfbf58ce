"""Pictures from strangers: every honest kind is read right, every hostile one is refused in words."""

import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from core.errors import LabError
from core.inference import uploads
from core.inference.uploads import MAX_BYTES, MAX_SIDE, WORKING_SIDE, decode_upload


def picture(height=40, width=60):
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
    found = decode_upload(encoded(picture(), kind, **options))
    assert found.shape == (40, 60, 3) and found.dtype == np.uint8
    assert np.abs(found.astype(int) - picture()).max() <= tolerance


def test_the_result_may_be_written_to():
    found = decode_upload(encoded(picture(), "PNG"))
    found[0, 0] = 0


def test_grey_palette_and_bilevel():
    grey = picture()[:, :, 1]
    assert (decode_upload(encoded(grey, "PNG")) == grey[:, :, None]).all()
    palette = Image.fromarray(picture()).quantize(64)
    assert (decode_upload(encoded(palette, "PNG")) == np.asarray(palette.convert("RGB"))).all()
    bilevel = Image.fromarray(grey > 128)
    assert bilevel.mode == "1"
    assert (decode_upload(encoded(bilevel, "PNG")) == np.asarray(bilevel.convert("RGB"))).all()


def test_transparent_parts_are_white():
    rgba = np.dstack([picture(), np.full((40, 60), 255, np.uint8)])
    rgba[:20, :, 3] = 0
    found = decode_upload(encoded(rgba, "PNG"))
    assert (found[:20] == 255).all() and (found[20:] == picture()[20:]).all()
    grey_alpha = Image.fromarray(rgba).convert("LA")
    assert (decode_upload(encoded(grey_alpha, "PNG"))[:20] == 255).all()
    palette = Image.fromarray(picture()).quantize(16)
    palette.info["transparency"] = palette.getpixel((0, 0))
    assert (decode_upload(encoded(palette, "PNG", transparency=palette.getpixel((0, 0))))[0, 0] == 255).all()


def test_sixteen_bits_are_brought_down_not_cut_off():
    grey = picture()[:, :, 1].astype(np.uint16)
    deep = grey * 256 + 255 - grey
    for kind in ("PNG", "TIFF"):
        found = decode_upload(encoded(deep, kind))
        assert np.abs(found[:, :, 0].astype(int) - picture()[:, :, 1]).max() <= 1


def test_a_float_tiff_is_spread_over_its_range():
    found = decode_upload(encoded(Image.fromarray(picture()[:, :, 1].astype(np.float32) / 255), "TIFF"))
    assert np.abs(found[:, :, 0].astype(int) - picture()[:, :, 1]).max() <= 2


def test_cmyk_becomes_rgb():
    found = decode_upload(encoded(Image.fromarray(picture()).convert("CMYK"), "JPEG", quality=95))
    assert np.abs(found.astype(int) - picture()).mean() < 8


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photo_stands_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    # What the camera stores is the inverse of the turn that the number asks for.
    stored = {
        1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a), 7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation](picture())  # fmt: skip
    for kind in ("PNG", "JPEG"):
        found = decode_upload(
            encoded(np.ascontiguousarray(stored), kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
        )
        assert found.shape == (40, 60, 3)
        assert np.abs(found.astype(int) - picture()).max() <= 12


def test_an_animation_gives_its_first_frame():
    frames = [Image.fromarray(picture()), Image.fromarray(picture()[::-1])]
    for kind in ("TIFF", "WEBP", "PNG"):
        data = encoded(
            frames[0], kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {})
        )
        assert (decode_upload(data) == picture()).all()


@pytest.mark.parametrize(("height", "width"), [(3000, 4000), (4000, 3000), (20, 11_000)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_large_picture_is_reduced_and_keeps_its_shape(height, width, kind):
    found = decode_upload(encoded(picture(height, width), kind))
    assert max(found.shape) == WORKING_SIDE
    expected = max(1, round(min(height, width) * WORKING_SIDE / max(height, width)))
    assert min(found.shape[:2]) == pytest.approx(expected, abs=1)
    if expected > 100:
        assert abs(int(found[0, 0, 0]) - 255) < 15 and abs(int(found[-1, -1, 2]) - 255) < 15


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
    with pytest.raises(LabError, match="the limit is 20 MB"):
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
        encoded(picture(), "GIF"),
        encoded(picture(), "ICO"),
        encoded(picture(), "PPM"),
        encoded(picture(), "TGA"),
        encoded(picture(), "PCX"),
        encoded(Image.fromarray(picture()), "EPS"),
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
        whole = bytearray(encoded(picture(), kind))
        for _ in range(60):
            broken = bytearray(whole)
            for place in dice.integers(0, len(broken), 5):
                broken[place] = dice.integers(0, 256)
            with contextlib.suppress(LabError):
                assert decode_upload(bytes(broken)).ndim == 3
    assert not recwarn.list


def test_memory_running_out_is_a_sentence(monkeypatch):
    def exhausted(_):
        raise MemoryError

    monkeypatch.setattr(uploads, "_reduce", exhausted)
    with pytest.raises(LabError, match="MemoryError"):
        decode_upload(encoded(picture(), "PNG"))

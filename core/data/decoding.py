"""Files to arrays: photographs, and label maps of ids, of colours or painted from polygons. Scaling included.

Files are read here and decoded from memory: OpenCV crashes on a name that isn't valid UTF-8. Training, scores, uploads
and `predict` all see a photograph as `decode_image` decodes it.
"""

import io
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin, WebPImagePlugin  # noqa: F401 (the readers that Pillow loads late)

from core.config import RGB, PixelFormat
from core.data.bands import read_tiff, resize, tiff_layout, to_bytes, upright
from core.data.polygons import paint_polygons
from core.data.unread_formats import name_unread
from core.errors import LabError

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
"""What Pillow may open; its other readers run programs or are rarely looked after."""
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # a broken file is said in our own words
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How a TIFF begins; with + it may be larger than 4 GB."""
BRIGHT = 99.9
"""Percentile of a deep photograph's values that is shown as white, so that 12 bits in a file of 16 aren't black."""


def read_image(path: Path, size: tuple[int, int] | None = None, pixels: PixelFormat = RGB) -> np.ndarray:
    """Decode a photograph.

    Args:
        path: an image file of the user's own data set.
        size: (height, width) to scale to; None keeps the file's size.
        pixels: as of `decode_image`.

    Returns:
        uint8 (H, W, C): red green blue, turned as its EXIF says, or the bands asked for.

    Raises:
        LabError: the file is missing or is not an image.
    """
    try:
        image = decode_image(path.read_bytes(), pixels)
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError) and str(error):
            raise LabError(f"'{path}' can't be read as an image: {error}.") from None
        raise LabError(f"'{path}' can't be read as an image. Download or copy that file again.") from None
    return resize(image, size) if size else image


def decode_image(data: bytes, pixels: PixelFormat = RGB) -> np.ndarray:
    """Decode a photograph: its first frame, upright as its EXIF says, transparency on white, deep values brought to 8
    bits.

    Args:
        data: a file.
        pixels: its bands, and what is white where it holds more than 8 bits a channel; without that the file's own
            `BRIGHT` percentile is. Bands are taken as they lie in the file: one that others call transparency is a band
            too, and no orientation is looked for.

    Returns:
        uint8 (H, W, 3), red green blue, or uint8 (H, W, C) of the bands asked for.

    Raises:
        ValueError: it is no image, or of a kind that isn't taken; its text says which, or is empty.
    """
    if data[:4] == b"\x89PNG" and not _is_whole_png(data):
        raise ValueError("it is damaged; download or copy that file again")
    if pixels.bands:
        values = _take_bands(_read_bands(data), pixels.bands)
        return to_bytes(values, np.array(pixels.white or _bright_values(values)))
    white = pixels.white[0] if pixels.white else 0.0
    if data[:2] == b"\xff\xd8" or _is_plain_png(data):
        values = _opencv(data, cv2.IMREAD_COLOR_RGB)
        if values is not None:
            return values
    if data[:4] == b"\x89PNG" and data[24:25] == b"\x10":  # Pillow keeps 8 of the 16 bits
        values = _opencv(data, cv2.IMREAD_UNCHANGED)
        return to_rgb(_straight(values), white, 65535)
    if data[:4] in TIFF and (values := _tiff_colors(data)) is not None:
        opaque = np.iinfo(values.dtype).max if values.dtype.kind in "ui" else 1.0
        return to_rgb(values, white, opaque)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.load()
            turned = ImageOps.exif_transpose(image)
            if turned.mode.startswith("I") or turned.mode == "F":
                values = np.nan_to_num(np.asarray(turned, np.float64), posinf=0, neginf=0)
                return to_rgb(values, white, 1.0)
            if turned.mode in ("RGBA", "LA", "PA") or "transparency" in turned.info:
                return to_rgb(np.asarray(turned.convert("RGBA")), white, 255)
            return np.array(turned.convert("RGB"))
    except (OSError, ValueError, SyntaxError, TypeError, Image.DecompressionBombError):
        raise ValueError(name_unread(data)) from None


def white_level(path: Path, bands: tuple[int, ...] = ()) -> tuple[float, ...]:
    """Return the `BRIGHT` percentile of a photograph with more than 8 bits a channel: one for its colours together, or
    one for each of the bands asked for.

    Empty for any other, and for one that can't be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(32)
            if start[:4] not in (b"\x89PNG", *TIFF) or (start[:1] == b"\x89" and start[24:25] != b"\x10"):
                return ()
            data = start + file.read()
        if bands:
            values = _take_bands(_read_bands(data), bands)
            return () if values.dtype == np.uint8 else _bright_values(values)
    except (OSError, ValueError):
        return ()
    deep = _deep_values(data)
    return (max(0.0, float(np.percentile(deep, BRIGHT))),) if deep is not None and deep.size else ()


def _bright_values(values: np.ndarray) -> tuple[float, ...]:
    """Return the `BRIGHT` percentile of each band of values (H, W, C) that are deep."""
    if values.dtype == np.uint8 or not values.size:
        return (255.0,)
    plain = np.nan_to_num(values.reshape(-1, values.shape[2]), posinf=0, neginf=0)
    return tuple(np.percentile(plain, BRIGHT, axis=0).tolist())


def _take_bands(values: np.ndarray, bands: tuple[int, ...]) -> np.ndarray:
    """Return some bands of values (H, W, C). Raises ValueError where there are fewer."""
    count = values.shape[2]
    if max(bands) > count:
        raise ValueError(f"it has {count} band{'s' * (count > 1)}, and the setting Bands asks for band {max(bands)}")
    return values[..., [band - 1 for band in bands]]


def _read_bands(data: bytes) -> np.ndarray:
    """Return every band of a file as it lies there, (H, W, C) of any type. Raises ValueError."""
    if data[:4] in TIFF:
        return read_tiff(data)
    values = _straight(_opencv(data, cv2.IMREAD_UNCHANGED))
    return values[..., None] if values.ndim == 2 else values


def _tiff_colors(data: bytes) -> np.ndarray | None:
    """Return the colours of a TIFF of more than 8 bits, or with other bands beside them, (H, W, C) of any type: gray,
    or red green blue, and transparency. None for any other, which Pillow knows better: it keeps 8 bits of each.

    Raises ValueError where it is broken, or nothing says which bands are colours.
    """
    layout = tiff_layout(data)
    if layout is None or layout.photometric > 2:
        return None
    if not (layout.is_deep or layout.num_bands or (layout.colors == 3 and not layout.names_colors)):
        return None
    if layout.num_bands and not layout.names_colors:
        example = " ".join(map(str, (2, 1) if layout.samples < 3 else (3, 2, 1, *range(4, min(layout.samples, 8) + 1))))
        raise ValueError(
            f"it has {layout.samples} bands, and nothing says which are red, green and blue; name those to learn from"
            f" in the setting Bands, such as {example}"
        )
    try:
        values = read_tiff(data, only_first=True)
    except ValueError:
        known = _opencv(data, cv2.IMREAD_UNCHANGED)  # knows compressions that tifffile alone doesn't
        if known is None or (1 if known.ndim == 2 else known.shape[2]) != layout.samples:
            raise
        values = np.atleast_3d(_straight(known))
    values = upright(values[..., : layout.colors + layout.has_alpha], layout.orientation)
    if layout.photometric == 0 and values.dtype.kind == "u":
        values = np.iinfo(values.dtype).max - values
    return np.nan_to_num(values, posinf=0, neginf=0)


def _deep_values(data: bytes) -> np.ndarray | None:
    """Return the colour values of a PNG or TIFF of more than 8 bits, or None for any other."""
    try:
        values = _tiff_colors(data) if data[:4] in TIFF else _straight(_opencv(data, cv2.IMREAD_UNCHANGED))
    except ValueError:
        return None
    if values is None or values.dtype == np.uint8:
        return None
    return values[..., :3] if values.ndim == 3 and values.shape[2] > 2 else values


def _is_plain_png(data: bytes) -> bool:
    """Return True for a PNG of 8 bits in colours or gray without transparency, which OpenCV decodes as Pillow does, but
    faster.
    """
    return data[:4] == b"\x89PNG" and data[24:26] in (b"\x08\x02", b"\x08\x00") and b"tRNS" not in data[:4096]


def _straight(values: np.ndarray | None) -> np.ndarray:
    """Return what OpenCV decoded as red green blue (and alpha).

    Raises ValueError where there is nothing, or no colours.
    """
    if values is None:
        raise ValueError
    channels = 1 if values.ndim == 2 else values.shape[2]
    if channels == 2 or channels > 4:
        raise ValueError(f"it has {channels} channels, and a photograph has 1, 3 or 4")
    return (
        values[..., 0]
        if values.ndim == 3 and channels == 1
        else values[..., [2, 1, 0, 3][:channels]]
        if channels > 1
        else values
    )


def to_rgb(values: np.ndarray, white: float, opaque: float) -> np.ndarray:
    """Return gray or colours of any depth, with or without transparency, (H, W) or (H, W, C), as uint8 (H, W, 3):
    `white` becomes 255, and so does the transparent.
    """
    values = np.atleast_3d(values)
    if values.shape[2] < 3:
        values = np.concatenate([values[..., :1].repeat(3, axis=2), values[..., 1:]], axis=2)
    if values.dtype == np.uint8 and values.shape[2] == 3:
        return np.ascontiguousarray(values)
    colors = np.nan_to_num(values[..., :3].astype(np.float32))
    if values.dtype != np.uint8:
        colors *= 255 / max(white or float(np.percentile(colors, BRIGHT)), 1e-9)
    if values.shape[2] == 4:
        alpha = values[..., 3:].astype(np.float32) / opaque
        colors = colors * alpha + 255 * (1 - alpha)
    return np.clip(np.rint(colors), 0, 255).astype(np.uint8)


def read_labels(path: Path, size: tuple[int, int] | None = None, colors: bool = False) -> np.ndarray:
    """Decode a label map; scaled by nearest neighbour.

    Args:
        path: a picture, or a Cityscapes polygons.json, which is painted.
        size: (height, width) to scale to; None keeps the file's size.
        colors: the picture is painted in colours. A palette picture then gives its colours, and its numbers otherwise.

    Returns:
        ids uint8 (H, W), or with `colors` uint8 (H, W, 3), red green blue.

    Raises:
        LabError: the file is missing, is not a picture, or holds something else than asked for.
    """
    values = _label_values(path, colors)
    if size and values.shape[:2] != size:
        values = cv2.resize(values, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return values


def _label_values(path: Path, colors: bool) -> np.ndarray:
    if path.suffix.lower() == ".json":
        return paint_polygons(path)
    values, palette = read_values(path)
    if palette is not None:
        return palette[values] if colors else values
    if values.ndim == 2 and (values.dtype != np.uint8):
        if (
            values.min(initial=0) < 0
            or values.max(initial=0) > 255
            or (values.dtype.kind == "f" and (values % 1).any())
        ):
            kind = "fractions" if values.dtype.kind == "f" else "numbers outside of 0 to 255"
            raise LabError(
                f"'{path}' holds {kind}, but a label map holds one number of 0 to 255 a pixel. Cityscapes' instanceIds"
                " look like this: use the labelIds files."
            )
        values = values.astype(np.uint8)
    if colors:
        return cv2.cvtColor(values, cv2.COLOR_GRAY2RGB) if values.ndim == 2 else values
    if values.ndim == 3:
        raise LabError(
            f"'{path}' is a picture in colours, but a label map holds one number a pixel. Use the labelIds files of"
            " Cityscapes, or name the colours in the class table of your own data."
        )
    return values


def read_values(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Return what stands in a label picture, and its palette where it has one.

    Gray in three equal channels is gray. A mask that is the same everywhere but for its transparency is that
    transparency.

    Returns:
        numbers (H, W) of any type, or colours uint8 (H, W, 3), red green blue; and the palette uint8 (256, 3), or None.
        The numbers of a GIF, which every encoder deals anew, are never given: a gray palette gives its gray, any other
        its colours.

    Raises:
        LabError: the file is missing or is not a picture.
    """
    again = LabError(f"'{path}' can't be read as a label map. Download or copy that file again.")
    try:
        data = path.read_bytes()
    except OSError:
        raise again from None
    if data[:4] == b"\x89PNG" and not _is_whole_png(data):
        raise again
    values = _opencv(data, cv2.IMREAD_UNCHANGED) if data[:4] == b"\x89PNG" and data[25:26] != b"\x03" else None
    if values is None:
        try:
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.mode in ("P", "PA") and image.format != "GIF":
                    palette = np.zeros((256, 3), np.uint8)
                    listed = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
                    palette[: len(listed)] = listed
                    return np.array(image.getchannel(0) if image.mode == "PA" else image), palette
                plain = {"P": "RGB", "PA": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB", "LAB": "RGB", "1": "L"}
                values = np.array(image.convert(plain[image.mode]) if image.mode in plain else image)
        except (OSError, ValueError, SyntaxError, TypeError, Image.DecompressionBombError):
            values = _opencv(data, cv2.IMREAD_UNCHANGED) if data[:2] in (b"II", b"MM") else None
            if values is None:
                raise again from None
            values = values if values.ndim == 2 else values[..., [2, 1, 0, 3][: values.shape[2]]]
    elif values.ndim == 3:
        values = values[..., [2, 1, 0, 3][: values.shape[2]]] if values.shape[2] > 2 else values
    return _without_alpha(values), None


def _without_alpha(values: np.ndarray) -> np.ndarray:
    """Return numbers (H, W) or colours (H, W, 3) of a picture that may have transparency or three equal channels."""
    if values.ndim == 2:
        return np.ascontiguousarray(values)
    colors, alpha = (values[..., :-1], values[..., -1]) if values.shape[2] in (2, 4) else (values, None)
    if alpha is not None and (colors == colors[:1, :1]).all() and alpha.min() != alpha.max():
        return np.ascontiguousarray(alpha)
    is_gray = colors.shape[2] == 1 or not (
        cv2.absdiff(colors[..., 0], colors[..., 1]).any() or cv2.absdiff(colors[..., 0], colors[..., 2]).any()
    )
    return np.ascontiguousarray(colors[..., 0] if is_gray else colors)


def _is_whole_png(data: bytes) -> bool:
    """Return whether every chunk of a PNG that matters is as it was written.

    OpenCV and Pillow decode half of a damaged one and say nothing.
    """
    start, name = 8, b""
    while name != b"IEND" and start + 12 <= len(data):
        length, name = int.from_bytes(data[start : start + 4]), data[start + 4 : start + 8]
        end = start + 8 + length
        if name[:1].isupper() and zlib.crc32(data[start + 4 : end]).to_bytes(4) != data[end : end + 4]:
            return False
        start = end + 4
    return name == b"IEND"


def _opencv(data: bytes, flags: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error:  # a header that promises more pixels than OpenCV allows
        return None

"""Large and georeferenced pictures, read row by row and written so: rasterio, which the lab can do without.

rasterio is GDAL for Python: https://rasterio.readthedocs.io. Here it opens the formats that `core.data.decoding` opens.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.config import RGB, PixelFormat
from core.data.bands import to_bytes
from core.data.decoding import BRIGHT, FORMATS, to_rgb
from core.errors import LabError
from core.extras import is_here
from core.files import replacing

Size = tuple[int, int]
"""Height and width."""
DRIVERS = ("GTiff", "PNG", "JPEG", "WEBP", "BMP", "GIF", "PNM")
"""What GDAL may open; its other readers follow links to other files and servers."""
CACHE_BYTES = 128 * 2**20
"""Of decoded blocks, where GDAL's default is a twentieth of the machine's memory."""
TILE = 256
"""Side in pixels of the tiles of a written TIFF."""
GEO_TAGS = (33550, 34264, 34735)
"""ModelPixelScale, ModelTransformation and GeoKeyDirectory of OGC's GeoTIFF 1.1, section 7 (http://docs.opengeospatial.org/is/19-008r4/19-008r4.html)."""
ORIENTATION = 0x0112
SAMPLE_SIDE = 2000


@dataclass(frozen=True)
class Header:
    """What a picture says of itself before a pixel is decoded.

    Attributes:
        size: height and width as stored.
        is_georeferenced: it tells where on earth it lies.
        is_turned: it is to be shown otherwise than it is stored, as its EXIF says.
    """

    size: Size
    is_georeferenced: bool = False
    is_turned: bool = False


def has_rasterio() -> bool:
    """Return whether large and georeferenced pictures can be read and written here."""
    return is_here("rasterio")


def read_header(path: Path) -> Header | None:
    """Return a picture's header; None for what is no picture, of which its decoder says why."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # no pixel is decoded
    try:
        with Image.open(path, formats=FORMATS) as image:
            tags = getattr(image, "tag_v2", {})
            turned = image.getexif().get(ORIENTATION, 1) != 1
            return Header(image.size[::-1], any(tag in tags for tag in GEO_TAGS), turned)
    except (OSError, ValueError, SyntaxError, TypeError):
        if not has_rasterio():
            return None
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    try:  # colours of 16 bits, and other kinds that Pillow doesn't know
        with _opened(path) as source:
            return Header(source.shape, source.crs is not None)
    except LabError:
        return None


def georeference_of(path: Path) -> dict[str, Any]:
    """Return where a picture lies, as `open_tiff` takes it: its CRS and the affine transform of its pixels.

    Raises:
        LabError: it can't be read.
    """
    with _opened(path) as source:
        return {"crs": source.crs, "transform": source.transform}


class RasterRows:
    """A picture that is read from its first row to its last, each once, so that no format has to begin anew.

    Rows come as `core.data.decoding.decode_image` would give them: uint8, red green blue, transparency on white; or the
    bands that are asked for.
    """

    def __init__(self, source: Any, pixels: PixelFormat = RGB) -> None:
        """Take an opened rasterio dataset; `pixels` as of `decode_image`."""
        self._source = source
        self.size: Size = source.shape
        self._bands = list(pixels.bands)
        self._palette = None
        if self._bands:
            if max(self._bands) > source.count:
                raise LabError(f"'{source.name}' has {source.count} bands, and the run learned from {pixels.bands}.")
            self._white = np.array(pixels.white or self._bright(self._bands))
            return
        colors = [color.name for color in source.colorinterp]
        bands = source.count - (colors[-1] == "alpha")
        if bands not in (1, 3) or "cyan" in colors:
            raise LabError(
                f"'{source.name}' has {source.count} channels ({', '.join(colors)}), and a photograph is gray or red"
                " green blue. Save it so."
            )
        if colors[0] == "palette":
            self._palette = np.zeros((256, 4), np.uint8)
            for index, color in source.colormap(1).items():
                self._palette[index % 256] = color
        is_deep = source.dtypes[0] != "uint8"
        indexes = [1] if source.count < 3 else [1, 2, 3]
        self._white = np.array(pixels.white or (self._bright(indexes, axis=None) if is_deep else [255.0]))

    def read(self, top: int, bottom: int) -> np.ndarray:
        """Return rows uint8 (bottom - top, W, C)."""
        values = self._source.read(self._bands or None, window=((top, bottom), (0, self.size[1])))
        if self._bands:
            return to_bytes(values.transpose(1, 2, 0), self._white)
        white = float(self._white[0])
        if self._palette is not None:
            return to_rgb(self._palette[values[0]], white, 255)
        if len(values) == 2:  # gray and its transparency
            values = values[[0, 0, 0, 1]]
        opaque = np.iinfo(values.dtype).max if values.dtype.kind in "iu" else 1.0
        return to_rgb(values.transpose(1, 2, 0) if len(values) > 1 else values[0], white, opaque)

    def _bright(self, indexes: list[int], axis: int | None = 1) -> list[float]:
        """Return the `BRIGHT` percentile of a sample of each of some bands, or without an axis of all of them."""
        side = [min(length, SAMPLE_SIDE) for length in self.size]
        sample = np.nan_to_num(self._source.read(indexes, out_shape=(len(indexes), *side)), posinf=0, neginf=0)
        values = np.percentile(sample.reshape(len(indexes), -1), BRIGHT, axis=axis)
        return np.maximum(np.atleast_1d(values), 1e-9).tolist()


@contextmanager
def open_rows(path: Path, pixels: PixelFormat = RGB) -> Iterator[RasterRows]:
    """Open a picture to read its rows; `pixels` as of `core.data.decoding.decode_image`.

    Raises:
        LabError: rasterio isn't there, or it is no picture; later also while it is read, where it is damaged.
    """
    from rasterio.errors import RasterioError

    with _opened(path) as source:
        try:
            yield RasterRows(source, pixels)
        except RasterioError as error:
            raise LabError(f"'{path}' is damaged ({error}). Download or copy that file again.") from None


@contextmanager
def open_tiff(path: Path, size: Size, channels: int, georeference: dict[str, Any] | None = None) -> Iterator[Any]:
    """Write a tiled TIFF of uint8, a BigTIFF where it needs be, that has its name once it is whole.

    Args:
        path: its name.
        size: height and width.
        channels: 1 for numbers, 3 for red green blue.
        georeference: of `georeference_of`.

    Yields:
        `write(top, values)`, which writes rows uint8 (h, W) or (h, W, 3).
    """
    import rasterio

    profile = {"driver": "GTiff", "dtype": "uint8", "height": size[0], "width": size[1], "count": channels}
    tiles = {"tiled": True, "blockxsize": TILE, "blockysize": TILE, "compress": "deflate", "bigtiff": "if_safer"}
    if channels == 3:
        tiles |= {"photometric": "rgb", "interleave": "pixel"}

    def write(top: int, values: np.ndarray) -> None:
        window = ((top, top + len(values)), (0, size[1]))
        bands = values[None] if values.ndim == 2 else values.transpose(2, 0, 1)
        target.write(bands, window=window)

    with (
        replacing(path) as draft,
        _quiet_gdal(),
        rasterio.open(draft, "w", **profile, **tiles, **(georeference or {})) as target,
    ):
        yield write


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from rasterio.errors import RasterioError
    from rasterio.io import DatasetReader

    with _quiet_gdal():
        try:
            source = DatasetReader(str(path), driver=list(DRIVERS))  # `rasterio.open` takes one driver or any
        except RasterioError:
            raise LabError(
                f"'{path}' can't be read as a picture. Take a PNG, JPEG, WebP, TIFF or BMP that other programs open."
            ) from None
        with source:
            yield source


@contextmanager
def _quiet_gdal() -> Iterator[None]:
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES, GDAL_NUM_THREADS="ALL_CPUS"), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield

"""Files that people have and that aren't read here: what each is called by, and what to do with it."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class UnreadFormat:
    """A format that isn't read.

    Attributes:
        title: what such a file is, "a DICOM file".
        endings: of its files' names.
        advice: what to do, as a sentence.
        magic: what its files hold from byte `start` on, one of these; none where other formats have the same.
        start: see `magic`.
    """

    title: str
    endings: tuple[str, ...]
    advice: str
    magic: tuple[bytes, ...] = ()
    start: int = 0


HEIF = tuple(
    b"ftyp" + brand
    for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis")
)
UNREAD_FORMATS = (
    UnreadFormat("a DICOM file", (".dcm", ".dicom"), "Save its slices as PNG or TIFF of 16 bits, with 3D Slicer or pydicom.", (b"DICM",), 128),
    UnreadFormat("a NIfTI volume", (".nii", ".nii.gz"), "Save its slices as PNG or TIFF, with 3D Slicer or nibabel.", (b"n+1\0",), 344),
    UnreadFormat("a volume", (".nrrd", ".mha", ".mhd"), "Save its slices as PNG or TIFF, with 3D Slicer or SimpleITK.", (b"NRRD",)),
    UnreadFormat("a HEIC or AVIF picture", (".heic", ".heif", ".avif"), "Save it as JPEG or PNG; a phone does so itself when set to the most compatible format.", HEIF, 4),
    UnreadFormat("a JPEG 2000 picture", (".jp2", ".j2k", ".jpx"), "Save it as TIFF or PNG, with gdal_translate or ImageMagick.", (b"jP  ",), 4),
    UnreadFormat("a camera's raw file", (".dng", ".cr2", ".cr3", ".nef", ".arw", ".rw2", ".raf"), "Develop it to TIFF or JPEG."),
    UnreadFormat("a scanned slide", (".svs", ".ndpi", ".mrxs", ".scn"), "Save regions of it as TIFF, with QuPath or OpenSlide."),
    UnreadFormat("an array", (".npy", ".npz", ".mat", ".h5", ".hdf5"), "Save its pictures as PNG or TIFF.", (b"NUMPY",), 1),
    UnreadFormat("a PDF", (".pdf",), "Save its pictures as PNG or JPEG.", (b"%PDF",)),
    UnreadFormat("a Photoshop file", (".psd",), "Save it as PNG or TIFF.", (b"8BPS",)),
)  # fmt: skip


def name_unread(data: bytes) -> str:
    """Return what a file is that isn't read here, and what to do, as the rest of a sentence; "" for any other."""
    for kind in UNREAD_FORMATS:
        if data.startswith(kind.magic, kind.start):
            return f"it is {kind.title}, which isn't read here: {kind.advice[0].lower()}{kind.advice[1:].rstrip('.')}"
    return ""


def advise_unread(endings: Iterable[str]) -> str:
    """Return sentences about the endings among some that are of a format that isn't read; "" where none is."""
    there = set(endings)
    known = [(kind, sorted(there & set(kind.endings))) for kind in UNREAD_FORMATS]
    return " ".join(f"{of[0]} is {kind.title}, which isn't read here. {kind.advice}" for kind, of in known if of)

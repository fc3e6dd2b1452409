"""Which files are pictures, by their names and first bytes, and what is said of the kinds that are not read."""

import mimetypes
from contextlib import suppress
from functools import cache
from pathlib import PurePath

from PIL import Image

_HEIF_SUFFIXES = frozenset({".heic", ".heics", ".heif", ".heifs", ".hif"})
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"})
# fmt: off
_RAW_SUFFIXES = frozenset({
    ".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq", ".k25", ".kdc", ".mef",
    ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f",
})
# fmt: on
RAW_ADVICE = "a camera's raw file, which is not read; develop it to JPEG, PNG or TIFF"
_OTHER_SUFFIXES = {
    ".jxl": "JPEG XL",
    ".svg": "a drawing",
    ".svgz": "a drawing",
    ".eps": "a drawing",
    ".wmf": "a drawing",
    ".emf": "a drawing",
    ".psb": "Photoshop's large document format",
    ".xcf": "GIMP's own format",
    ".kra": "Krita's own format",
    ".exr": "OpenEXR, whose values are linear light",
    ".hdr": "Radiance's format, whose values are linear light",
}
"""Kinds that hold pictures too, and what they are called; more are known by the media type of their suffix."""

# Drawings need other programs (Ghostscript runs what stands in them), and the others have a name but no decoder.
_NEVER_OPENED = frozenset({"EPS", "WMF", "MPEG", "BUFR", "GRIB", "HDF5"})
# What says little or nothing in its first bytes, or is data rather than a picture: opened only under its own suffix,
# since almost any file would pass for one of them.
_OPENED_BY_SUFFIX = frozenset(
    {"TGA", "SPIDER", "MCIDAS", "PCD", "PIXAR", "IPTC", "IMT", "IM", "GBR", "XVTHUMB", "FITS", "FTEX", "MSP", "DCX"}
)
_SIGNATURES = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"II*\0",
    b"MM\0*",
    b"8BPS\0\1",
    b"\0\0\0\x0cjP  ",
    b"\0\0\0\x0cJXL ",
)
SIGNATURE_BYTES = 16


@cache
def _formats_by_suffix() -> dict[str, str]:
    """Pillow's formats that are opened, by the suffixes of their files; HEIC where pillow-heif is installed."""
    with suppress(ImportError):
        import pillow_heif

        pillow_heif.register_heif_opener()
    # Also loads the decoders of all formats, which Pillow else does when it meets a file that it does not know.
    known = Image.registered_extensions()
    # JPEG's decoder reads a file of several photographs as its first.
    opened = {suffix: "JPEG" if name == "MPO" else name for suffix, name in known.items()}
    return {suffix: name for suffix, name in opened.items() if name in Image.OPEN and name not in _NEVER_OPENED}


@cache
def _media_types() -> mimetypes.MimeTypes:
    """Python's own table of suffixes: that of the system is another one on each machine."""
    return mimetypes.MimeTypes()


def opened_formats(name: str) -> tuple[str, ...]:
    """Pillow's formats that a file of this name may have."""
    own = _formats_by_suffix().get(PurePath(name).suffix.lower())
    others = [each for each in Image.OPEN if each not in _NEVER_OPENED | _OPENED_BY_SUFFIX and each != own]
    return (own, *others) if own is not None else tuple(others)


def is_picture(name: str) -> bool | None:
    """Whether a file of this name is a picture, read or not; None where its name does not tell."""
    suffix = PurePath(name).suffix.lower()
    if suffix in _formats_by_suffix() or suffix in _HEIF_SUFFIXES | _RAW_SUFFIXES | _OTHER_SUFFIXES.keys():
        return True
    media_type, encoding = _media_types().guess_type(f"x{suffix}")
    if media_type is None and encoding is None:
        return None
    return media_type is not None and media_type.startswith("image/")


def begins_like_a_picture(path: str) -> bool:
    """Whether a file's first bytes are those of a common kind of picture; to be asked about regular files alone."""
    try:
        with open(path, "rb") as file:
            return starts_like_a_picture(file.read(SIGNATURE_BYTES))
    except OSError:
        return False


def starts_like_a_picture(start: bytes) -> bool:
    """Whether these first `SIGNATURE_BYTES` of a file are those of a common kind of picture."""
    webp = start[:4] == b"RIFF" and start[8:12] == b"WEBP"
    return start.startswith(_SIGNATURES) or webp or _is_heif(start) or start[4:12] in (b"ftypavif", b"ftypcrx ")


def is_raw(content: bytes, name: str) -> bool:
    """Whether this is a camera's raw file. Most of them are TIFF files as well, in which Pillow finds a thumbnail."""
    suffix = PurePath(name).suffix.lower()
    return content[4:12] == b"ftypcrx " or (suffix in _RAW_SUFFIXES and not content.startswith(_SIGNATURES[:2]))


def why_not_read(content: bytes, name: str) -> str | None:
    """What to do about a picture that could not be decoded because its kind is not read; None for all else.

    Args:
        content: The file, or its beginning.
        name: Its name.
    """
    suffix = PurePath(name).suffix.lower()
    if is_raw(content, name):
        return RAW_ADVICE
    if "HEIF" not in Image.OPEN and (_is_heif(content) or suffix in _HEIF_SUFFIXES):
        return "HEIC, which is read where the package pillow-heif is installed: pip install pillow-heif"
    kind = _OTHER_SUFFIXES.get(suffix)
    if content.startswith(b"\0\0\0\x0cJXL "):
        kind = _OTHER_SUFFIXES[".jxl"]
    media_type, _ = _media_types().guess_type(f"x{suffix}")
    if kind is None and suffix not in _formats_by_suffix() and (media_type or "").startswith("image/"):
        kind = media_type
    return None if kind is None else f"{kind}, which is not read; convert it to JPEG or PNG"


def _is_heif(content: bytes) -> bool:
    return content[4:8] == b"ftyp" and content[8:12] in _HEIF_BRANDS

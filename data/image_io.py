"""Reading photographs of any common kind into one: upright, 8-bit sRGB. And finding them in folders."""

import io
import os
import stat
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, overload

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from common.places import Place, UPath, files_below, read_part, relative
from data.exif_camera import ExifFocal, focal_from_exif
from data.high_depth import grey_of_high_depth, unusual_tiff
from data.image_kinds import (
    RAW_ADVICE,
    SIGNATURE_BYTES,
    begins_like_a_picture,
    is_picture,
    is_raw,
    opened_formats,
    starts_like_a_picture,
    why_not_read,
)

MAX_PIXELS = 178_956_970
"""Images above this are refused before they are decoded (Pillow's own limit against decompression bombs)."""

_BEHIND_ALPHA = 128
_DNG_VERSION = 50706
_END_OF_JPEG = b"\xff\xd9"

# What Pillow warns of (large pictures, odd metadata) is either refused here with an error of ours or does not matter.
warnings.filterwarnings("ignore", module=r"PIL\.")


class UnreadableImageError(ValueError):
    """A file that gives no photograph; the message names it, says what is wrong and what to do.

    Attributes:
        kind: What is wrong.
        name: What the message calls the file.
        advice: The message without the name, for where the name already stands.
    """

    Kind = Literal["empty", "truncated", "not_an_image", "too_large", "unsupported", "unreadable"]

    def __init__(self, kind: Kind, name: str, advice: str) -> None:
        """Say what is wrong."""
        super().__init__(f"{name}: {advice}")
        self.kind = kind
        self.name = name
        self.advice = advice

    def __reduce__(self) -> tuple[type["UnreadableImageError"], tuple[str, str, str]]:
        """Errors cross from worker processes by pickling."""
        return type(self), (self.kind, self.name, self.advice)

    @property
    def status(self) -> Literal["unreadable", "too_large", "unsupported"]:
        """`too_large`, `unsupported` or `unreadable`, the words of `infer.py`'s report."""
        return self.kind if self.kind in ("too_large", "unsupported") else "unreadable"


@dataclass(frozen=True)
class DecodedPhotograph:
    """A photograph and what its file says besides.

    Attributes:
        image_srgb: Its pixels, upright.
        focal: The focal length that its EXIF data state.
        note: What is wrong with the file although it could be read; empty where nothing is.
    """

    image_srgb: UInt8[np.ndarray, "height width 3"]
    focal: ExifFocal = field(default_factory=ExifFocal)
    note: str = ""


def read_photograph(path: Place) -> UInt8[np.ndarray, "height width 3"]:
    """Read a photograph as upright 8-bit sRGB.

    Turned as its EXIF orientation says; grey, palette, CMYK, 16-bit and floating-point pictures are converted; an
    embedded colour profile is honoured; transparent parts come out neutral grey; of an animation, the first frame.
    A JPEG that breaks off is read as viewers read it, see `open_photograph`.

    Raises:
        UnreadableImageError: Whatever is wrong with the file.
    """
    return open_photograph(path).image_srgb


def open_photograph(path: Place) -> DecodedPhotograph:
    """Read a photograph as `read_photograph` does, and what its file says of lens and faults.

    A JPEG that breaks off gives what was decoded, as in every viewer: the rest is grey or blurred, and `note` says so.

    Raises:
        UnreadableImageError: Whatever is wrong with the file.
    """
    try:
        if isinstance(path, Path) and not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableImageError("unreadable", str(path), _why_not_a_file(path))
        content = read_part(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UnreadableImageError(
            "unreadable", str(path), f"cannot be opened ({reason}); check path and rights"
        ) from error
    return _decode(content, str(path), broken_off=True)


def _why_not_a_file(path: Path) -> str:
    if path.is_dir() and path.is_symlink():
        return "a link out of the folder that was given, which is not followed; name the folder it leads to"
    if path.is_dir():
        return "a folder that cannot be listed, or one where a single photograph is expected; give image files"
    return "not a regular file; give image files or readable folders"


def decode_photograph(content: bytes, name: str) -> UInt8[np.ndarray, "height width 3"]:
    """The pixels of a whole file from its bytes; one that breaks off is refused, for nothing is learned from grey.

    Args:
        content: The encoded picture.
        name: What messages call it.

    Raises:
        UnreadableImageError: Whatever is wrong with it.
    """
    return _decode(content, name, broken_off=False).image_srgb


def _decode(content: bytes, name: str, *, broken_off: bool) -> DecodedPhotograph:
    if not content:
        raise UnreadableImageError("empty", name, "the file is empty; copy it again from its source")
    try:
        return _opened(content, name)
    except UnreadableImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        limit = MAX_PIXELS // 1_000_000
        raise UnreadableImageError("too_large", name, f"more than {limit} megapixels; scale it down first") from error
    # Decoders raise almost anything on malformed files, and one bad file must not cost the others their result.
    except Exception as error:
        if broken_off and _breaks_off(error) and (rest := _broken_off_jpeg(content, name)) is not None:
            return rest
        raise _refusal(error, content, name) from error


def _refusal(error: Exception, content: bytes, name: str) -> UnreadableImageError:
    """What is wrong with a file that cannot be decoded, in words."""
    unsupported = why_not_read(content, name)
    if unsupported is not None:
        return UnreadableImageError("unsupported", name, unsupported)
    if isinstance(error, UnidentifiedImageError):
        advice = "not an image, or of a kind that is not supported; convert it to JPEG or PNG"
        return UnreadableImageError("not_an_image", name, advice)
    if _breaks_off(error):
        return UnreadableImageError("truncated", name, "the file breaks off before its end; copy it again")
    reason = " ".join(str(error).split()) or type(error).__name__
    return UnreadableImageError("unreadable", name, f"cannot be decoded ({reason}); convert it to JPEG or PNG")


def _breaks_off(error: Exception) -> bool:
    return "truncated" in str(error).lower() or isinstance(error, EOFError)


def _opened(content: bytes, name: str) -> DecodedPhotograph:
    """Decode a file; whatever Pillow raises comes through."""
    if is_raw(content, name):
        raise UnreadableImageError("unsupported", name, RAW_ADVICE)
    try:
        with Image.open(io.BytesIO(content), formats=opened_formats(name)) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise Image.DecompressionBombError
            if _DNG_VERSION in getattr(image, "tag_v2", {}):
                raise UnreadableImageError("unsupported", name, RAW_ADVICE)
            image.load()
            # The tags of the file: upright, Pillow's picture has lost some of them.
            return DecodedPhotograph(upright_srgb(image), focal_from_exif(image))
    except UnidentifiedImageError:
        unusual = unusual_tiff(content, MAX_PIXELS)
        if unusual is None:
            raise
        return DecodedPhotograph(upright_srgb(unusual))


def _broken_off_jpeg(content: bytes, name: str) -> DecodedPhotograph | None:
    """What a JPEG that breaks off holds, with a note of how much is missing; None where it holds nothing."""
    if not content.startswith(b"\xff\xd8"):
        return None
    try:
        # With an end put behind it, the decoder leaves grey what it was not told: the way of all viewers. Pillow's
        # own switch for that is one for all threads.
        rest = _opened(content + _END_OF_JPEG, name)
    except Exception:
        return None
    missing = _undecoded_share(rest.image_srgb)
    if missing == 1.0:
        return None
    told = f"its last {max(1, round(100.0 * missing))} % are missing" if missing else "it may be blurred"
    return replace(rest, note=f"the file breaks off before its end: {told}; copy it again from its source")


def _undecoded_share(image_srgb: UInt8[np.ndarray, "height width 3"]) -> float:
    """How much of a picture's side is one even grey from one of its edges on: what the decoder was not told."""
    shares = []
    # The picture was turned upright, so that its end may lie at any edge.
    for turned in (image_srgb, image_srgb[::-1], image_srgb.swapaxes(0, 1), image_srgb.swapaxes(0, 1)[::-1]):
        edge = turned[0, 0].astype(int)
        # The middle of the range in every channel, up to what a colour profile makes of it.
        if np.abs(edge - 128).max() > 10:
            continue
        even = (np.abs(turned - edge) <= 1).all(axis=(1, 2))
        shares.append(float(np.argmin(even)) / len(even) if not even.all() else 1.0)
    return max(shares, default=0.0)


@overload
def find_images(paths: Sequence[Path]) -> Sequence[Path]: ...


@overload
def find_images(paths: Sequence[Place]) -> Sequence[Place]: ...


def find_images(paths: Sequence[Place]) -> Sequence[Place]:
    """The images of files and folders, in a fixed order.

    Folders are searched recursively, each once and under its own name before that of any link to it. Links to folders
    are followed only within the root they are found under: otherwise one link up would search the whole disk. Hidden
    files and folders (with a leading dot) are left out. A picture of a kind that is not read is listed as well, and so
    is a folder that cannot be searched and a link that is not followed, for `read_photograph` to say why. A file that
    is named itself is always listed. Two roots may hold the same relative name: telling their results apart is up to
    the caller. Of a folder that is not on this machine, all files are listed at once.

    Args:
        paths: Files and folders.

    Returns:
        Paths that begin with the root they were found under, sorted within each root.
    """
    found: list[Place] = []
    for root in paths:
        if not isinstance(root, Path):
            found.extend(_listed_there(root))
        elif root.is_dir():
            found.extend(sorted(_walk(root)))
        else:
            found.append(root)
    return found


def _listed_there(root: UPath) -> list[Place]:
    """The pictures of a folder behind an address, or the file that it names."""
    if not root.is_dir():
        return [root]
    visible = (path for path in files_below(root) if not _is_hidden(relative(path, root)))
    return [path for path in visible if _is_listed_there(path)]


def _is_hidden(below: str) -> bool:
    return any(part.startswith(".") for part in below.split("/"))


def _is_listed_there(path: Place) -> bool:
    told = is_picture(path.name)
    if told is not None:
        return told
    try:
        return starts_like_a_picture(read_part(path, byte_count=SIGNATURE_BYTES))
    except OSError:
        return False


def _walk(root: Path) -> list[Path]:
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    folders: list[Path] = [root]
    links: list[Path] = []
    real_root = root.resolve()
    while folders or links:
        # Links last: by then every real folder was listed under its own name.
        folder = folders.pop() if folders else links.pop()
        try:
            place = folder.stat()
            if (place.st_dev, place.st_ino) in seen:
                continue
            seen.add((place.st_dev, place.st_ino))
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            found.append(folder)
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            path = folder / entry.name
            if not _is_folder(entry):
                if _is_listed(entry):
                    found.append(path)
            elif not entry.is_symlink():
                folders.append(path)
            elif path.resolve().is_relative_to(real_root):
                links.append(path)
            elif not real_root.is_relative_to(path.resolve()):
                # Any other way out is worth a word; this one would only lead round in a circle.
                found.append(path)
    return found


def _is_listed(entry: os.DirEntry[str]) -> bool:
    """Whether a file of a folder is a picture: by its name, and where that does not tell by how it begins."""
    told = is_picture(entry.name)
    if told is not None:
        return told
    try:
        # Nothing else is opened: a pipe would keep the reader waiting.
        return entry.is_file() and begins_like_a_picture(entry.path)
    except OSError:
        return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads to itself: listed as a file, and reported when it is read.
        return False


def upright_srgb(image: Image.Image) -> UInt8[np.ndarray, "height width 3"]:
    """A picture of Pillow's as `read_photograph` gives files, whatever its mode."""
    # Pillow's turned picture has lost the tags of its file.
    tags = getattr(image, "tag_v2", {})
    image = _upright(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return np.repeat(grey_of_high_depth(image, tags)[..., None], 3, axis=2)
    if image.mode in ("P", "PA", "LA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
    elif image.mode == "1":
        image = image.convert("L")
    image = _apply_profile(image)
    if image.mode == "RGBA":
        backdrop = Image.new("RGBA", image.size, (_BEHIND_ALPHA, _BEHIND_ALPHA, _BEHIND_ALPHA, 255))
        image = Image.alpha_composite(backdrop, image)
    return np.array(image.convert("RGB"))


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    # Broken EXIF data comes from many programs and says nothing about the pixels.
    except Exception:
        return image


def _apply_profile(image: Image.Image) -> Image.Image:
    """Into sRGB, where a usable colour profile is embedded."""
    content = image.info.get("icc_profile")
    if not content or image.mode not in ("L", "RGB", "RGBA", "CMYK"):
        return image
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
        if "srgb" in ImageCms.getProfileDescription(profile).lower():
            return image
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        converted = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        # A broken profile, or one for other channels: the numbers as they are come nearest.
        return image
    return converted if converted is not None else image

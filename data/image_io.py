"""Reading photographs of any common kind into one: upright, 8-bit sRGB. And finding them in folders."""

import io
import os
import stat
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif", ".jp2"}
)
"""What counts as an image in a folder; a file that is named itself is read whatever its suffix."""

MAX_PIXELS = 178_956_970
"""Images above this are refused before they are decoded (Pillow's own limit against decompression bombs)."""

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "AVIF", "JPEG2000", "PPM")
_BEHIND_ALPHA = 128

# What Pillow warns of (large pictures, odd metadata) is either refused here with an error of ours or does not matter.
warnings.filterwarnings("ignore", module=r"PIL\.")


class UnreadableImageError(ValueError):
    """A file that gives no photograph; the message names it, says what is wrong and what to do.

    Attributes:
        kind: What is wrong.
        name: What the message calls the file.
        advice: The message without the name, for where the name already stands.
    """

    Kind = Literal["empty", "truncated", "not_an_image", "too_large", "unreadable"]

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
    def status(self) -> Literal["unreadable", "too_large"]:
        """`too_large` or `unreadable`, the words of `infer.py`'s report."""
        return "too_large" if self.kind == "too_large" else "unreadable"


def read_photograph(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """Read a photograph as upright 8-bit sRGB.

    Turned as its EXIF orientation says; grey, palette, CMYK, 16-bit and floating-point pictures are converted; an
    embedded colour profile is honoured; transparent parts come out neutral grey; of an animation, the first frame.

    Raises:
        UnreadableImageError: Whatever is wrong with the file.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableImageError("unreadable", str(path), _why_not_a_file(path))
        content = path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UnreadableImageError(
            "unreadable", str(path), f"cannot be opened ({reason}); check path and rights"
        ) from error
    return decode_photograph(content, str(path))


def _why_not_a_file(path: Path) -> str:
    if path.is_dir() and path.is_symlink():
        return "a link out of the folder that was given, which is not followed; name the folder it leads to"
    if path.is_dir():
        return "a folder that cannot be listed, or one where a single photograph is expected; give image files"
    return "not a regular file; give image files or readable folders"


def decode_photograph(content: bytes, name: str) -> UInt8[np.ndarray, "height width 3"]:
    """The same from bytes.

    Args:
        content: The encoded picture.
        name: What messages call it.

    Raises:
        UnreadableImageError: Whatever is wrong with it.
    """
    if not content:
        raise UnreadableImageError("empty", name, "the file is empty; copy it again from its source")
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise Image.DecompressionBombError
            image.load()
            return upright_srgb(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        limit = MAX_PIXELS // 1_000_000
        raise UnreadableImageError("too_large", name, f"more than {limit} megapixels; scale it down first") from error
    except UnidentifiedImageError as error:
        advice = "not an image, or of a kind that is not supported; convert it to JPEG or PNG"
        raise UnreadableImageError("not_an_image", name, advice) from error
    # Decoders raise almost anything on malformed files, and one bad file must not cost the others their result.
    except Exception as error:
        if "truncated" in str(error).lower() or isinstance(error, EOFError):
            advice = "the file breaks off before its end; copy it again from its source"
            raise UnreadableImageError("truncated", name, advice) from error
        reason = " ".join(str(error).split()) or type(error).__name__
        advice = f"cannot be decoded ({reason}); convert it to JPEG or PNG"
        raise UnreadableImageError("unreadable", name, advice) from error


def find_images(paths: Sequence[Path]) -> list[Path]:
    """The images of files and folders, in a fixed order.

    Folders are searched recursively, each once and under its own name before that of any link to it. Links to folders
    are followed only within the root they are found under: otherwise one link up would search the whole disk. Hidden
    files and folders (with a leading dot) are left out. A file that is named itself is always listed; so is a folder
    that cannot be searched and a link that is not followed, for `read_photograph` to say why. Two roots may hold the
    same relative name: telling their results apart is up to the caller.

    Args:
        paths: Files and folders.

    Returns:
        Paths that begin with the root they were found under, sorted within each root.
    """
    found: list[Path] = []
    for root in paths:
        if root.is_dir():
            found.extend(sorted(_walk(root)))
        else:
            found.append(root)
    return found


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
                if path.suffix.lower() in IMAGE_SUFFIXES:
                    found.append(path)
            elif not entry.is_symlink():
                folders.append(path)
            elif path.resolve().is_relative_to(real_root):
                links.append(path)
            elif not real_root.is_relative_to(path.resolve()):
                # Any other way out is worth a word; this one would only lead round in a circle.
                found.append(path)
    return found


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads to itself: listed as a file, and reported when it is read.
        return False


def upright_srgb(image: Image.Image) -> UInt8[np.ndarray, "height width 3"]:
    """A picture of Pillow's as `read_photograph` gives files, whatever its mode."""
    image = _upright(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _from_high_depth(np.asarray(image))
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


def _from_high_depth(values: np.ndarray) -> UInt8[np.ndarray, "height width 3"]:
    """Grey of 16 or 32 bits, or floating point, to 8 bits; the range is told from the type and the largest value."""
    values = np.nan_to_num(values.astype(np.float64))
    highest = values.max()
    if highest <= 1.0:
        full = 1.0
    elif highest <= 255.0:
        full = 255.0
    else:
        full = 65535.0 if highest <= 65535.0 else highest
    grey = np.round(np.clip(values / full, 0.0, 1.0) * 255.0).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)

"""`likeness head transfer`: a result of one head, as `infer.py` writes it, in another."""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from common.atomic import atomic_path
from model.checkpoint import file_sha256
from model.face.assets import HeadAssets, load_head
from model.face.correspondence import SurfaceMap, load_map, outer_skin, registered, save_map, surface_map
from model.face.readers.foreign import points68
from model.face.transfer import Transferred, transferred

_NEEDED = ("vertices", "vertices_neutral", "rotation", "translation")


def transfer(result: Path, from_head: Path, to_head: Path, output: Path, map_path: Path | None = None) -> Iterator[str]:
    """Express a result in another head.

    Args:
        result: `face.npz`.
        from_head: The head file that it is expressed in.
        to_head: The head file that it shall be expressed in.
        output: The file to write, with the keys of `face.npz` that belong to a head.
        map_path: Where the correspondence of the two heads is kept; by default beside `output`. It takes half a minute
            and is made once.

    Yields:
        Lines that tell what was done and how far the two lie apart.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is not what it should be, or the result is of another head; the message says which.
    """
    arrays = read_result(result)
    source, target = load_head(from_head), load_head(to_head)
    for name in ("vertices", "vertices_neutral"):
        if arrays[name].shape != source.vertices_mm.shape:
            raise ValueError(f"{result}: {name} has shape {arrays[name].shape}, {from_head} {source.vertices_mm.shape}")
    place = map_path or output.parent / f"{from_head.stem}-to-{to_head.stem}.map.safetensors"
    hashes = file_sha256(from_head), file_sha256(to_head)
    if place.is_file():
        found = load_map(place, *hashes)
    else:
        found = head_map(source, target)
        place.parent.mkdir(parents=True, exist_ok=True)
        save_map(found, place, *hashes)
        yield f"{place}: the correspondence of the two heads, for this and every further result"
    # What the mesh decoder added belongs to the person and stays when the face is at rest.
    neutral = arrays["vertices_neutral"] + arrays.get("offsets_mm", np.zeros((1, 3)))
    answer = transferred(target, source, found, neutral, arrays["vertices"], arrays.get("albedo_vertex"))
    output.parent.mkdir(parents=True, exist_ok=True)
    _write(answer, target, arrays, output)
    yield (
        f"{output}: mean distance of the skin {answer.identity_error_mm:.3f} mm at rest, "
        f"{answer.expression_error_mm:.3f} mm with the expression, whose movement differs by "
        f"{answer.movement_error_mm:.3f} mm"
    )


def head_map(source: HeadAssets, target: HeadAssets) -> SurfaceMap:
    """Where the target's vertices lie on the source."""
    laid = registered(source, target, points68(target, {}))
    skin = source.faces[outer_skin(source)[source.faces].all(1)]
    return surface_map(source, laid.vertices_mm, target.vertices_mm.astype(float), skin)


def read_result(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a `face.npz`.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is no such file; the message names it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; infer.py writes face.npz for each face")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not an .npz archive of plain arrays ({error})") from error
    if missing := sorted(set(_NEEDED) - set(arrays)):
        raise ValueError(f"{path}: not a face.npz: {', '.join(missing)} missing")
    return arrays


def _write(answer: Transferred, head: HeadAssets, arrays: dict[str, np.ndarray], output: Path) -> None:
    # Camera space stays what it was: x_camera = R x_source + t, and x_source = Q x_head + q.
    rotation = arrays["rotation"].astype(float)
    turned, shifted = rotation @ answer.place.rotation, rotation @ answer.place.translation_mm + arrays["translation"]
    kept = {name: arrays[name] for name in ("intrinsics", "lighting") if name in arrays}
    written = {
        **kept,
        "identity": answer.identity,
        "expression": answer.expression,
        "albedo": answer.albedo,
        "rotation": turned,
        "translation": shifted,
        "vertices": answer.vertices_mm,
        "vertices_neutral": answer.neutral_mm,
        "vertices_camera": answer.vertices_mm @ turned.T + shifted,
        "albedo_vertex": head.albedo_mean + np.tensordot(answer.albedo, head.albedo_basis, 1),
    }
    tables = {"faces": head.faces, "expression_names": np.array(head.expression_names)}
    with atomic_path(output) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file, allow_pickle=False, **tables, **{name: np.float32(array) for name, array in written.items()}
        )

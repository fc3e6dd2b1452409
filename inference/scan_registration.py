"""`likeness head register`: a head fitted to a scan, and the person's own head file with its rig."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float

from common.atomic import atomic_path
from inference.likeness import Likeness
from inference.scan_landmarks import Scan, ScanLandmarks, find_landmarks
from model.face.assets import HeadAssets, load_head, save_head
from model.face.correspondence import outer_skin
from model.face.registration import Registration, RegistrationConfig, Target, anchors_of, register
from model.geometry.surface_distance import Surface

_UNITS_MM = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
_EYES_MM = 90.0
"""Distance of the outer corners of the eyes, to tell a scan's unit by."""
_FACE_MM = 80.0
"""Reach of the face around the middle of its landmarks, which the error is told for."""

_STIFFNESS = (300.0, 100.0, 30.0, 10.0, 3.0, 1.0)
"""Of the displacements. Softer ones follow the noise of a scan and fold the wings of a nose."""
_OPEN = 0.35


@dataclass(frozen=True)
class ScanRequest:
    """What is to be fitted.

    Attributes:
        scan: The scan's file: OBJ, or another kind that trimesh reads.
        head: The head file that is fitted.
        checkpoint: The network that finds the landmarks.
        unit: `mm`, `cm`, `m`, or `auto` for the one in which the eyes are as far apart as people's.
        expression: Whether the person shows an expression, which is taken out of the head.
        view: Where to write the picture with the landmarks; None for nowhere.
    """

    scan: Path
    head: Path
    checkpoint: Path
    unit: str = "auto"
    expression: bool = False
    view: Path | None = None


def register_scan(request: ScanRequest, output: Path) -> Iterator[str]:
    """Fit the head to the scan and write the person's head file.

    Yields:
        Lines that tell what was found and how far scan and head lie apart.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is not what it should be, or no face is found; the message says which.
    """
    scan, head = read_scan(request.scan), load_head(request.head)
    found = find_landmarks(scan, Likeness.load(request.checkpoint), request.scan)
    if request.view is not None:
        _write_view(found, request.view)
    unit = likely_unit(found) if request.unit == "auto" else request.unit
    yield f"{request.scan}: {len(scan.vertices)} vertices in {unit}, {len(found.numbers)} of 51 inner landmarks found"
    vertices_mm = _UNITS_MM[unit] * scan.vertices
    anchors = anchors_of(head, found.numbers, _UNITS_MM[unit] * found.points)
    config = RegistrationConfig(stiffness=_STIFFNESS, expressions=request.expression)
    laid = register(head, Target(vertices_mm, scan.faces), anchors, _scanned(head), config)
    points = _face_points(vertices_mm, anchors.target_mm)
    skin = head.faces[outer_skin(head)[head.faces].all(1)]
    for what, moved in (("the model alone", laid.fitted_mm), ("with displacements", laid.vertices_mm)):
        away = Surface(moved, skin).nearest(points).distance_mm
        yield (
            f"{what}: median {np.median(away):.3f} mm, mean {away.mean():.3f} mm, 90 % within "
            f"{np.quantile(away, 0.9):.3f} mm ({len(points)} vertices of the scan within {_FACE_MM:.0f} mm)"
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    save_head(personal_head(head, laid), output)
    yield f"{output}: the person's head, {len(head.expression_names)} expressions as blendshapes"


def _scanned(head: HeadAssets) -> Bool[np.ndarray, " vertex"]:
    """The skin that a scanner sees; what lies in a nostril is drawn out of it by the wing of the nose."""
    skin = outer_skin(head)
    return skin if head.exposure is None else skin & (head.exposure > _OPEN)


def read_scan(path: Path) -> Scan:
    """Read a scan.

    Raises:
        FileNotFoundError: If there is no file.
        ValueError: If it holds no surface of triangles; the message names it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    import trimesh

    try:
        mesh: Any = trimesh.load(path, force="mesh", process=False)
        vertices, faces = np.asarray(mesh.vertices, float), np.asarray(mesh.faces, np.int64)
    except Exception as error:
        # trimesh raises whatever a broken file makes it stumble over.
        raise ValueError(f"{path}: not a mesh that can be read ({error or type(error).__name__})") from error
    if not len(faces) or not np.isfinite(vertices).all():
        raise ValueError(f"{path}: no triangles, or vertices that are not finite: expected a scanned surface")
    return Scan(vertices, faces, _colours(mesh, len(vertices)))


def _colours(mesh: Any, count: int) -> Float[np.ndarray, "vertex 3"] | None:
    """Colours of the vertices, from themselves or from a texture; None where there are none."""
    visual = mesh.visual
    if visual.kind == "texture" and getattr(visual.material, "image", None) is not None and visual.uv is not None:
        visual = visual.to_color()
    elif visual.kind != "vertex":
        return None
    colours = np.asarray(visual.vertex_colors, float)
    return colours[:, :3] / 255.0 if colours.shape[0] == count else None


def likely_unit(found: ScanLandmarks) -> str:
    """The unit in which the outer corners of the eyes are about as far apart as people's.

    Raises:
        ValueError: If one of the corners was not found.
    """
    places = dict(zip(found.numbers.tolist(), found.points, strict=True))
    if 36 not in places or 45 not in places:
        raise ValueError("the outer corners of the eyes were not found, so the scan's unit is not known; give --unit")
    width = float(np.linalg.norm(places[36] - places[45]))
    return min(_UNITS_MM, key=lambda unit: abs(np.log(width * _UNITS_MM[unit] / _EYES_MM)))


def personal_head(head: HeadAssets, laid: Registration) -> HeadAssets:
    """A head whose mean is the person: the rig as it was, in the person's size; the identity leads away from them."""
    rotation, scale = laid.place.rotation, laid.place.scale
    shown_mm = (laid.vertices_mm - laid.place.translation_mm) @ rotation
    neutral_mm = shown_mm - scale * np.tensordot(laid.expression, head.expression_basis, 1)
    skinning = head.skinning
    if skinning is not None:
        joints_mm = scale * skinning.joints_of(laid.identity)
        skinning = replace(skinning, joints_mm=joints_mm, identity_basis=scale * skinning.identity_basis)
    return replace(
        head,
        vertices_mm=neutral_mm.astype(np.float32),
        identity_basis=(scale * head.identity_basis).astype(np.float32),
        expression_basis=(scale * head.expression_basis).astype(np.float32),
        identity_center=None,
        succeeds=(),
        skinning=skinning,
    )


def _face_points(
    vertices_mm: Float[np.ndarray, "vertex 3"], landmarks_mm: Float[np.ndarray, "point 3"]
) -> Float[np.ndarray, "point 3"]:
    near: Bool[np.ndarray, " vertex"] = np.linalg.norm(vertices_mm - landmarks_mm.mean(0), axis=1) < _FACE_MM
    return vertices_mm[near]


def _write_view(found: ScanLandmarks, path: Path) -> None:
    picture = found.picture_srgb[..., ::-1].copy()
    for x, y in found.picture_px:
        cv2.circle(picture, (int(x), int(y)), 2, (0, 255, 0), -1)
    with atomic_path(path) as temporary:
        if not cv2.imwrite(str(temporary), picture):
            raise ValueError(f"--view {path}: this kind of picture cannot be written; use .png")

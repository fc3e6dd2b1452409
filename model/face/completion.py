"""What a published model lacks for use here, carried over from our own head by dense correspondence.

Training and fitting ask a head for 68 and 478 landmarks, for regions of the face, for blendshapes and for the colours
of skin. No published model has all of them.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float
from trimesh.triangles import points_to_barycentric

from model.face.assets import HeadAssets, LandmarkSet
from model.face.correspondence import SurfaceMap, outer_skin, registered, surface_map
from model.face.readers.foreign import ForeignHead, at_vertices, points68
from model.face.registration import Registration
from model.geometry.surface_distance import Surface

_INNER_REGIONS = ("eyes", "left_eye", "right_eye", "eye_sockets", "mouth_inner", "teeth", "tongue")


def completed(foreign: ForeignHead, reference: HeadAssets) -> tuple[HeadAssets, tuple[str, ...]]:
    """A head for use.

    Args:
        foreign: What a reader gave; its axes are ours, its origin is its own.
        reference: The head that lends what is lacking: ours.

    Returns:
        The head, its origin where the reference has it, and what was done, in sentences.

    Raises:
        ValueError: If its files name too few of iBUG's points for the two to be laid onto one another.
    """
    assets = foreign.assets
    known = points68(assets, foreign.known_points)
    laid = registered(reference, assets, known)
    found = surface_map(reference, laid.vertices_mm, assets.vertices_mm.astype(float))
    notes = [*foreign.notes, _how_near(found, assets)]
    regions, carried = _regions(assets, reference, found)
    if carried:
        notes.append(f"Carried over from our own head: the regions {', '.join(carried)}.")
    changes: dict[str, Any] = {"regions": regions, "landmarks": _landmarks(foreign, reference, laid)}
    if missing := sorted(set(reference.landmarks) - set(assets.landmarks)):
        known_ones = f" ({len(known)} of the 68 are the model's own)" if "ibug68" in missing and known else ""
        notes.append(f"Carried over from our own head: the landmarks {', '.join(missing)}{known_ones}.")
    if "albedo" in foreign.lacks:
        changes["albedo_mean"] = found.carry(reference.albedo_mean).astype(np.float32)
        changes["albedo_basis"] = found.carry(reference.albedo_basis).astype(np.float32)
        notes.append("Carried over from our own head: the albedo, which the model does not have.")
    if "expressions" in foreign.lacks:
        changes["expression_basis"] = _displacements(reference, laid, found).astype(np.float32)
        changes["expression_names"] = reference.expression_names
        notes.append("Carried over from our own head: its 52 expressions, since the model has none.")
    return _shifted(replace(assets, **changes), laid), tuple(notes)


def _how_near(found: SurfaceMap, assets: HeadAssets) -> str:
    skin = outer_skin(assets) & found.covered
    if not skin.any():
        raise ValueError("our own head does not come near the model anywhere: are its landmarks in iBUG's order?")
    return (
        f"Our own head was laid onto it: {100.0 * skin.sum() / max(1, outer_skin(assets).sum()):.0f} % of its skin is "
        f"covered, at a mean distance of {found.distance_mm[skin].mean():.2f} mm."
    )


def _regions(
    assets: HeadAssets, reference: HeadAssets, found: SurfaceMap
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    regions = dict(assets.regions)
    knows_inside = any(name in regions for name in _INNER_REGIONS)
    skin = outer_skin(assets)
    carried = []
    for name, mask in reference.regions.items():
        # A model that says what is inside has no other inside; its skin alone can be face or lip.
        if name in regions or (knows_inside and name in _INNER_REGIONS):
            continue
        here = found.carry_mask(mask) & skin
        if here.any():
            regions[name] = here
            carried.append(name)
    return regions, tuple(carried)


def _landmarks(foreign: ForeignHead, reference: HeadAssets, laid: Registration) -> dict[str, LandmarkSet]:
    """The model's own sets, and the reference's others at the nearest places of the model's skin."""
    assets = foreign.assets
    landmarks = dict(assets.landmarks)
    skin = outer_skin(assets)
    faces = np.flatnonzero(skin[assets.faces].all(1))
    surface = Surface(assets.vertices_mm.astype(float), assets.faces[faces])
    for name, points in reference.landmarks.items():
        if name in landmarks:
            continue
        places = np.einsum("pcx,pc->px", laid.vertices_mm[reference.faces[points.face]], points.barycentric)
        nearest = surface.nearest(places)
        face = faces[nearest.face]
        corners = assets.vertices_mm[assets.faces[face]].astype(float)
        weights = np.nan_to_num(points_to_barycentric(corners, nearest.position_mm), nan=1.0 / 3.0).clip(0.0, 1.0)
        weights = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
        face = face.astype(np.int32)
        if name == "ibug68" and foreign.known_points:
            numbers = np.array(sorted(foreign.known_points))
            own = at_vertices(np.array([foreign.known_points[int(number)] for number in numbers]), assets.faces)
            face[numbers], weights[numbers] = own.face, own.barycentric
        landmarks[name] = LandmarkSet(face, weights)
    return landmarks


def _displacements(
    reference: HeadAssets, laid: Registration, found: SurfaceMap
) -> Float[np.ndarray, "expression vertex 3"]:
    """The reference's expressions in the model's space; what it does not cover stays at rest."""
    moved = laid.place.scale * reference.expression_basis @ laid.place.rotation.T
    return found.carry(moved) * found.covered[:, None]


def _shifted(assets: HeadAssets, laid: Registration) -> HeadAssets:
    """The head with the origin where the reference has it: between the eyeballs."""
    origin_mm = laid.place.apply(np.zeros((1, 3)))[0]
    skinning = assets.skinning
    if skinning is not None:
        skinning = replace(skinning, joints_mm=skinning.joints_mm - origin_mm)
    vertices_mm = (assets.vertices_mm - origin_mm).astype(np.float32)
    return replace(assets, vertices_mm=vertices_mm, skinning=skinning)

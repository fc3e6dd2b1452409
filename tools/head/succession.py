"""What a rebuilt head takes over from the file that it replaces: albedo, and the right to stand in for it."""

from dataclasses import replace

import numpy as np
from scipy.spatial import KDTree

from model.face.assets import HeadAssets

_KEPT = ("skin", "eye_sockets")
"""Regions that checkpoints were trained to answer."""
_REBUILT = ("left_eye", "right_eye", "mouth_inner", "teeth", "tongue")
_HALF_PRECISION_MM = 0.1
"""Of the largest displacement in a basis: what storing it in half precision leaves."""


def succeeding(head: HeadAssets, earlier: HeadAssets, earlier_sha256: str) -> HeadAssets:
    """The rebuilt head with the earlier one's albedo, marked as fit for what was trained with that.

    Args:
        head: The rebuilt head.
        earlier: The head of the file that it replaces; its skin must be the same, vertex by vertex.
        earlier_sha256: Of that file.

    Raises:
        ValueError: If vertices, order or bases of the skin differ.
    """
    _check_same_skin(head, earlier)
    row = np.arange(len(head.vertices_mm))
    for name in _REBUILT:
        ours, theirs = np.flatnonzero(head.regions[name]), np.flatnonzero(earlier.regions[name])
        row[ours] = theirs[KDTree(earlier.vertices_mm[theirs]).query(head.vertices_mm[ours])[1]]
    return replace(
        head,
        albedo_mean=earlier.albedo_mean[row],
        albedo_basis=earlier.albedo_basis[:, row],
        succeeds=(earlier_sha256, *earlier.succeeds),
    )


def _check_same_skin(head: HeadAssets, earlier: HeadAssets) -> None:
    if head.vertices_mm.shape != earlier.vertices_mm.shape or head.expression_names != earlier.expression_names:
        raise ValueError("the heads differ in their number of vertices or in their expressions")
    for name in _KEPT:
        ours, theirs = head.regions[name], earlier.regions[name]
        if not np.array_equal(ours, theirs) or not np.array_equal(head.vertices_mm[ours], earlier.vertices_mm[ours]):
            raise ValueError(f"the heads differ in the vertices of the region {name}")
        for basis in ("identity_basis", "expression_basis"):
            after, before = getattr(head, basis)[:, ours], getattr(earlier, basis)[:, ours]
            if after.shape != before.shape or np.abs(after - before).max() > _HALF_PRECISION_MM:
                raise ValueError(f"the heads differ in the {basis} of the region {name}")
    # A head without a mean person has it at zero.
    after, before = (
        np.zeros(len(one.identity_basis)) if one.identity_center is None else one.identity_center
        for one in (head, earlier)
    )
    if not np.allclose(after, before, atol=1e-3):
        raise ValueError("the heads differ in their mean person")

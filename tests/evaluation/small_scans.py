"""A face in relief, with nose, lips and chin, that is a scan and an answer at once; and a folder of such scans."""

from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from evaluation.profile_curve import cut_at_middle
from evaluation.scan_alignment import NOW_LANDMARKS
from evaluation.scans_data import AnsweredHead, ScannedHead
from tests.small_world import toy_head

# Height of the middle, depth and half height of what stands out of the face, mm.
NOSE, UPPER_LIP, LOWER_LIP, CHIN = (-40.0, 24.0, 9.0), (-63.0, 6.0, 4.0), (-75.0, 6.0, 4.0), (-97.0, 7.0, 7.0)
_HALF_WIDTH_MM, _TOP_MM, _BOTTOM_MM, _STEP_MM = 66.0, 36.0, -120.0, 2.0


def relief_depth_mm(x: Float[np.ndarray, "..."], y: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """z of the skin at x and y: a barrel with four bumps, not symmetric, so that no turn leaves it as it is."""
    depth = 22.0 - (x / 9.0) ** 2 - ((y + 35.0) / 18.0) ** 2 + 1.5 * np.sin(x / 13.0 + 0.4) * np.cos(y / 17.0)
    for middle, height, half_height in (NOSE, UPPER_LIP, LOWER_LIP, CHIN):
        depth = depth + height * np.exp(-((x / 12.0) ** 2) - ((y - middle) / half_height) ** 2)
    return depth


def relief_answer() -> AnsweredHead:
    """The relief as a mesh; posed and neutral are the same."""
    # The columns lie beside the plane x = 0, so that it cuts triangles and not along edges.
    x, y = np.meshgrid(
        np.arange(-_HALF_WIDTH_MM + 0.5, _HALF_WIDTH_MM, _STEP_MM), np.arange(_BOTTOM_MM, _TOP_MM, _STEP_MM)
    )
    vertices_mm = np.stack((x, y, relief_depth_mm(x, y)), axis=-1).reshape(-1, 3)
    index = np.arange(x.size).reshape(x.shape)
    a, b, c, d = (part.ravel() for part in (index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]))
    faces = np.concatenate((np.column_stack((a, b, c)), np.column_stack((a, c, d))))
    landmarks_mm = _landmarks7()
    return AnsweredHead(vertices_mm, landmarks_mm, vertices_mm, landmarks_mm, faces, np.ones(len(faces), bool))


def _landmarks7() -> Float[np.ndarray, "7 3"]:
    x = np.array([-45.0, -16.0, 16.0, 45.0, 0.0, -25.0, 25.0])
    y = np.array([0.0, -2.0, -2.0, 0.0, -53.0, -69.0, -69.0])
    return np.column_stack((x, y, relief_depth_mm(x, y)))


def relief_scan() -> ScannedHead:
    """The same relief as a scan: points are vertices of the mesh, the profile is cut from it."""
    answer = relief_answer()
    vertices_mm = answer.posed_mm
    inner = (np.abs(vertices_mm[:, 0]) < 56.0) & (vertices_mm[:, 1] > -112.0) & (vertices_mm[:, 1] < 28.0)
    curve_mm = cut_at_middle(vertices_mm, answer.faces, answer.skin).reshape(-1, 2)
    # From above to below; pieces share their ends.
    curve_mm = np.unique(curve_mm.round(9), axis=0)[::-1]
    curve_mm = curve_mm[(curve_mm[:, 0] < 18.0) & (curve_mm[:, 0] > -118.0)]
    profile_mm = np.column_stack((np.zeros(len(curve_mm)), curve_mm))
    return ScannedHead(
        name="relief",
        points_mm=vertices_mm[inner],
        landmarks7_mm=answer.posed_landmarks7_mm,
        profile_mm=profile_mm,
        fit_vertices_mm=vertices_mm,
        fit_identity=np.zeros(6),
        fit_expression=np.zeros(52),
    )


def write_scans(folder: Path, pictures: dict[str, np.ndarray]) -> Path:
    """A folder of scans with one head, `toy`, which is the toy head's mean, and these pictures of it."""
    (folder / "heads").mkdir(parents=True)
    (folder / "photos").mkdir()
    np.savez(folder / "heads" / "toy.npz", **toy_arrays())
    for name, image_srgb in pictures.items():
        Image.fromarray(image_srgb).save(folder / "photos" / f"{name}.png")
    return folder


def toy_arrays() -> dict[str, np.ndarray]:
    """What a head file says of the toy head's mean."""
    head = toy_head()
    vertices_mm, landmarks = head.vertices_mm.astype(np.float64), head.landmarks["ibug68"]
    corners, weights = head.faces[landmarks.face], landmarks.barycentric
    points68_mm = np.einsum("lc,lcx->lx", weights, vertices_mm[corners])
    middle = vertices_mm[(np.abs(vertices_mm[:, 0]) < 1e-6) & (vertices_mm[:, 2] > 20.0)]
    profile_mm = middle[np.argsort(-middle[:, 1])] * (0.0, 1.0, 1.0)
    return {
        "points": vertices_mm[head.regions["face"]],
        "landmarks7": points68_mm[list(NOW_LANDMARKS)],
        "profile": profile_mm,
        "fit_vertices": vertices_mm,
        "fit_identity": np.zeros(len(head.identity_basis)),
        "fit_expression": np.zeros(len(head.expression_basis)),
    }

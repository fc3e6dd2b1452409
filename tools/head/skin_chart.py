"""The skin's chart: face, ears, scalp, neck and inner lids in one piece that fills its tile.

The left half is laid onto the right half of the tile: its mid-line from the crown over the face to the throat along
u = 0.5, the edge of the neck along the bottom, the mid-line of the back of the head along the right and the top, where
hair covers the seam. The mouth is a gap in it.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from model.look.completion import graph_laplacian, spread
from tools.head.exposure import exposure
from tools.head.flatten import Frame, flatten

_CROWN_Z_MM, _OCCIPUT_Y_MM = -60.0, 60.0
"""Where the mid-line turns the half tile's upper corners: the first behind the hair line, the second at the back."""
_SHARE = {"scalp": 0.55, "neck": 0.55, "face": 3.0, "ears": 3.2}
"""Texture area for a square millimetre, against skin that is in none of these."""
_CARE = {"face": 20.0, "ears": 10.0}
"""How much distortion counts for each unit of area."""
_HIDDEN_SHARE, _HIDDEN_CARE = 0.06, 0.02
_OPEN_SHARE, _OPEN_CARE = 0.25, 0.3
"""Exposure from which a place gets its whole share, or care: pockets that no camera sees are made small."""
_BLEND_RINGS = 30
_GAP_SHARE, _GAP_CARE = 0.5, 0.3


@dataclass(frozen=True)
class SkinWishes:
    """What is wanted of each vertex.

    Attributes:
        share: Texture area for a square millimetre, relative.
        care: How much distortion counts for each unit of texture area.
    """

    share: Float[np.ndarray, " vertex"]
    care: Float[np.ndarray, " vertex"]


def skin_wishes(
    poses_mm: Float[np.ndarray, "pose vertex 3"],
    faces: Int[np.ndarray, "face 3"],
    regions: dict[str, Bool[np.ndarray, " vertex"]],
) -> SkinWishes:
    """Large where the face is and where a camera can look.

    Args:
        poses_mm: A whole head at rest and in expressions that show what is hidden at rest: mouth open, eyes shut.
        faces: Its triangles without eyes, teeth and tongue.
        regions: `face`, `ears`, `scalp` and `neck` of its vertices.
    """
    laplacian = graph_laplacian(faces, poses_mm.shape[1])
    seen = np.max([exposure(vertices_mm, faces) for vertices_mm in poses_mm], axis=0)

    def smooth(factors: dict[str, float]) -> Float[np.ndarray, " vertex"]:
        logs = np.zeros(poses_mm.shape[1], np.float32)
        for name, factor in factors.items():
            logs[regions[name]] = np.log(factor)
        return np.exp(spread(logs, laplacian, _BLEND_RINGS))

    return SkinWishes(
        share=smooth(_SHARE) * np.clip(seen / _OPEN_SHARE, _HIDDEN_SHARE, 1.0),
        care=smooth(_CARE) * np.clip(seen / _OPEN_CARE, _HIDDEN_CARE, 1.0),
    )


def skin_chart(
    vertices_mm: Float[np.ndarray, "vertex 3"],
    middle: Bool[np.ndarray, " vertex"],
    faces: Int[np.ndarray, "face 3"],
    wishes: SkinWishes,
) -> tuple[Float[np.ndarray, "skin 2"], Int[np.ndarray, " skin"]]:
    """Lay the left half of the skin flat.

    Args:
        vertices_mm: The left half of a head.
        middle: Its vertices on the mid-line.
        faces: The triangles of the skin among it.
        wishes: What is wanted of its vertices.

    Returns:
        Texture coordinates in [0.5, 1] x [0, 1] and whose they are.

    Raises:
        ValueError: If the skin is no disc whose border runs along mid-line, lips, mid-line, neck and mid-line.
    """
    used, local = np.unique(faces, return_inverse=True)
    local, points = local.reshape(-1, 3), vertices_mm[used].astype(np.float64)
    border = _Border.of(local, middle[used])
    gap = _gap(points, border.lips)
    frame = border.frame(points)
    share = np.concatenate((wishes.share[used][local].mean(1), np.full(len(gap), _GAP_SHARE)))
    care = np.concatenate((wishes.care[used][local].mean(1), np.full(len(gap), _GAP_CARE)))
    whole = np.concatenate((local, gap))
    a, b, c = points[whole].swapaxes(0, 1)
    share *= 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
    uv = flatten(points, whole, 0.5 * share / share.sum(), care, frame)
    return uv, used


@dataclass(frozen=True)
class _Border:
    """The border of the half skin, counter-clockwise, each run with both its ends.

    Attributes:
        lips: From the middle of the upper lip's inner edge to that of the lower.
        front: On to the bottom of the throat.
        neck: On along the neck's edge to the nape.
        back: On over the crown and down the face to the upper lip.
    """

    lips: Int[np.ndarray, " lips"]
    front: Int[np.ndarray, " front"]
    neck: Int[np.ndarray, " neck"]
    back: Int[np.ndarray, " back"]

    @classmethod
    def of(cls, faces: Int[np.ndarray, "face 3"], middle: Bool[np.ndarray, " vertex"]) -> "_Border":
        loop = _loop(faces, middle)
        on_middle = middle[loop]
        starts = np.flatnonzero(on_middle & ~np.roll(on_middle, -1))
        if len(starts) != 2:
            raise ValueError(
                f"the skin's border leaves its mid-line {len(starts)} times; at lips and neck are expected"
            )
        loop = np.roll(loop, -int(starts[0]))
        on_middle = middle[loop]
        # 0 is the upper lip's middle if the shorter run off the mid-line follows.
        first_end = 1 + int(on_middle[1:].argmax())
        second = first_end + int(np.flatnonzero(~on_middle[first_end:])[0]) - 1
        second_end = second + 1 + int(on_middle[second + 1 :].argmax())
        closed = np.append(loop, loop[0])
        return cls(
            closed[: first_end + 1],
            closed[first_end : second + 1],
            closed[second : second_end + 1],
            closed[second_end:],
        )

    def frame(self, points: Float[np.ndarray, "vertex 3"]) -> Frame:
        """The sides of the half tile."""
        back = points[self.back]
        occiput = int((back[:, 1] >= _OCCIPUT_Y_MM).argmax())
        crown = occiput + int((back[occiput:, 2] >= _CROWN_Z_MM).argmax())
        held, places = np.zeros((len(points), 2), bool), np.zeros((len(points), 2))
        face = np.concatenate((self.back[crown:], self.front))
        corners = ((0.5, 1.0), (0.5, 0.0), (1.0, 0.0), (1.0, 1.0))
        sides = (face, self.neck, self.back[: occiput + 1], self.back[occiput : crown + 1])
        for side, chain in enumerate(sides):
            start, end = np.array(corners[side]), np.array(corners[(side + 1) % 4])
            places[chain] = start + (end - start) * _along(points[chain])[:, None]
            held[chain, int(start[0] != end[0])] = True
        for chain in sides:
            held[chain[[0, -1]]] = True
        border = held[:, 0] | held[:, 1]
        return Frame(held, places, border)


def _loop(faces: Int[np.ndarray, "face 3"], middle: Bool[np.ndarray, " vertex"]) -> Int[np.ndarray, " border"]:
    """The border's vertices in order, from one whose upper neighbour is on the mid-line as well."""
    edges = np.concatenate((faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]))
    key = edges.min(1) * (1 + faces.max()) + edges.max(1)
    _, back, count = np.unique(key, return_inverse=True, return_counts=True)
    lone = edges[count[back] == 1]
    follows = dict(lone.tolist())
    # Twice from the same vertex would be two loops that touch.
    loop = [int(lone[middle[lone].all(1)][0, 0])]
    while follows.get(loop[-1], loop[0]) != loop[0]:
        loop.append(follows[loop[-1]])
    if len(loop) != len(lone):
        raise ValueError("the skin's border is more than one loop: lips, throat and neck must be one with the mid-line")
    found = np.array(loop)
    return _lips_first(found, middle[found])


def _lips_first(loop: Int[np.ndarray, " border"], on_middle: Bool[np.ndarray, " border"]) -> Int[np.ndarray, " border"]:
    """The loop turned so that the longest run of the mid-line, over the crown, comes last."""
    turned = np.roll(on_middle, 1)
    starts = np.flatnonzero(on_middle & ~turned)
    lengths = [int(np.argmin(np.roll(on_middle, -int(start)))) for start in starts]
    longest = int(np.argmax(lengths))
    return np.roll(loop, -int(starts[longest] + lengths[longest] - 1))


def _along(points: Float[np.ndarray, "vertex 3"]) -> Float[np.ndarray, " vertex"]:
    """From 0 to 1 with the way along a chain."""
    way = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))))
    return way / way[-1]


def _gap(points: Float[np.ndarray, "vertex 3"], lips: Int[np.ndarray, " rim"]) -> Int[np.ndarray, "face 3"]:
    """Triangles over the mouth, between the lips' inner edges: they keep the lips apart in the texture."""
    corner = int(points[lips, 0].argmax())
    upper, lower = lips[: corner + 1], lips[corner:][::-1]
    way_up, way_low = _along(points[upper]), _along(points[lower])
    triangles, above, below = [], 0, 0
    while above < len(upper) - 1 or below < len(lower) - 1:
        if below == len(lower) - 1 or (above < len(upper) - 1 and way_up[above + 1] <= way_low[below + 1]):
            triangles.append((upper[above], lower[below], upper[above + 1]))
            above += 1
        else:
            triangles.append((upper[above], lower[below], lower[below + 1]))
            below += 1
    return np.array([triangle for triangle in triangles if len(set(triangle)) == 3])

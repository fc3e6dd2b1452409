"""Build the default head, `likeness-head`, from ICT-FaceKit's statistics on a topology of our own.

    python -m tools.build_head --source ict_facekit_light.npz --output checkpoints/likeness-head/head.safetensors

The source is ICT-FaceKit's download packed by `tools.pack_ict_facekit`.

Every vertex is a fixed barycentric point of the source's surface, chosen by thinning its left half (densest at eyes,
nose and lips), evening that out on the surface, and reflecting it. Then the statistics are read off at those points,
eyeballs and tongue get their motion, the atlas, regions and landmarks are laid on, and the file is checked against
1,000 random source faces. Albedo is learned afterwards by `tools.learn_albedo`. About a minute on one core.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree

from data.landmarks import IBUG68_MIRROR, MEDIAPIPE478_MIRROR
from model.checkpoint import file_sha256
from model.face.assets import HeadAssets, load_head, save_head
from model.face.readers.ict import read_ict_facekit
from tools.head.assemble import SampledHead, mean_vertices, reflect, reflect_texture
from tools.head.atlas_layout import lay_out
from tools.head.decimate import Decimator
from tools.head.expressions import BLINK_GAIN, gaze_shapes, tongue_out
from tools.head.half_mesh import HalfMesh, left_half
from tools.head.landmark_transfer import LandmarkTransfer
from tools.head.parts import source_parts
from tools.head.regions import EARS_NOT_EVENED, head_regions, near_ears
from tools.head.relax import SampledMesh, compact, slide, turn_edges
from tools.head.skin_chart import SkinWishes, skin_wishes
from tools.head.spacing import vertex_spacing_mm
from tools.head.succession import succeeding
from tools.head.validation import resampling_error, source_expressions_mm

LANDMARKS = Path(__file__).parent / "head" / "landmarks.npz"
HALF_VERTICES = 5600
_FEWEST_HALF_VERTICES = 500
"""Here every region is still there; thinned as far as it goes (209 vertices in all), ears and nose are gone."""
_FEATURE_RADIUS_MM = 12.0
"""Around brows, eyes, nose and lips vertices stay on the source's own edge lines: creases must not be cut across."""

_REVEALING = (("jawOpen",), ("eyeBlinkLeft", "eyeBlinkRight"))
"""Expressions that show skin which is hidden at rest: the inside of the lips, the lids."""


def sample_half(
    half: HalfMesh,
    skin: Bool[np.ndarray, " vertex"],
    spacing_mm: Float[np.ndarray, " vertex"],
    landmarks68_mm: Float[np.ndarray, "68 3"],
    target: int,
) -> SampledMesh:
    """Our left half: thinned, its edges turned, its smooth skin evened out.

    Args:
        half: The source's left half.
        skin: Its skin.
        spacing_mm: Spacing wanted around each of its vertices.
        landmarks68_mm: The 68 landmarks.
        target: Number of vertices.
    """
    mesh, rows = compact(half, *Decimator(half, spacing_mm).run(target))
    for sweeps in (6, 3):
        points = mesh.points(half)
        mesh = turn_edges(mesh, points)
        movable = skin[rows] & _smooth(points, landmarks68_mm)
        mesh = slide(mesh, half, movable, spacing_mm[rows], sweeps)
    return mesh


def _smooth(
    points: Float[np.ndarray, "vertex 3"], landmarks68_mm: Float[np.ndarray, "68 3"]
) -> Bool[np.ndarray, " vertex"]:
    features = KDTree(landmarks68_mm[17:]).query(points)[0] < _FEATURE_RADIUS_MM
    return ~features & ~near_ears(points, EARS_NOT_EVENED)


def build(source: HeadAssets, landmarks_path: Path, half_vertices: int) -> tuple[HeadAssets, SampledHead]:
    """The head without albedo, and where its vertices lie on the source.

    Args:
        source: As `read_ict_facekit` gives it.
        landmarks_path: `tools/head/landmarks.npz`.
        half_vertices: Vertices of the left half with its mid-line.
    """
    with np.load(landmarks_path, allow_pickle=False) as archive:
        placed = {name: archive[name] for name in archive.files}
    landmarks68_mm = placed["spacing_point"]
    parts = source_parts(source)
    half = left_half(source)
    spacing = vertex_spacing_mm(source, landmarks68_mm)[half.source]
    skin = (parts["face"] | parts["head"])[half.source]
    mesh = sample_half(half, skin, spacing, landmarks68_mm, half_vertices)
    sampled = reflect(mesh, half, source)
    vertices = mean_vertices(mesh, half)
    our_parts = {name: sampled.part(mask) for name, mask in parts.items()}
    regions = head_regions(vertices, our_parts, landmarks68_mm)
    expressions = _expressions(source, sampled, vertices, regions)
    uv, uv_faces = _texture_space(
        mesh, half, sampled, vertices, expressions, source.expression_names, our_parts, regions
    )
    transfer = LandmarkTransfer(mesh, half, source.mirror)
    mirrors = {"ibug68": IBUG68_MIRROR, "mediapipe478": MEDIAPIPE478_MIRROR}
    head = HeadAssets(
        vertices_mm=vertices,
        faces=sampled.faces,
        uv=uv,
        uv_faces=uv_faces,
        identity_basis=sampled.sample(source.identity_basis),
        expression_basis=expressions,
        expression_names=source.expression_names,
        albedo_mean=np.full_like(vertices, 0.4),
        albedo_basis=np.zeros((0, *vertices.shape), np.float32),
        mirror=sampled.mirror,
        landmarks={
            name: transfer.place(placed[f"{name}_point"], placed[f"{name}_corners"], mirror)
            for name, mirror in mirrors.items()
        },
        regions=regions,
        identity_center=placed["mean_identity"],
    )
    return head, sampled


def _texture_space(
    mesh: SampledMesh,
    half: HalfMesh,
    sampled: SampledHead,
    vertices: Float[np.ndarray, "vertex 3"],
    expressions: Float[np.ndarray, "expression vertex 3"],
    names: tuple[str, ...],
    parts: dict[str, Bool[np.ndarray, " vertex"]],
    regions: dict[str, Bool[np.ndarray, " vertex"]],
) -> tuple[Float[np.ndarray, "texture 2"], Int[np.ndarray, "face 3"]]:
    """Texture vertices of the whole head and the triangles'."""
    shown = [np.zeros_like(vertices), *(sum(expressions[names.index(n)] for n in shape) for shape in _REVEALING)]
    hiding = sampled.faces[~(parts["eyes"] | parts["teeth"] | parts["tongue"] | parts["gums"])[sampled.faces].any(1)]
    wishes = skin_wishes(vertices + np.stack(shown), hiding, regions)
    left = len(mesh.corners)
    left_parts = {name: mask[:left] for name, mask in parts.items()}
    left_wishes = SkinWishes(wishes.share[:left], wishes.care[:left])
    placed = lay_out(mesh.points(half), mesh.middle, mesh.faces, mesh.uv, mesh.uv_faces, left_parts, left_wishes)
    return reflect_texture(*placed)


def _expressions(
    source: HeadAssets,
    sampled: SampledHead,
    vertices: Float[np.ndarray, "vertex 3"],
    regions: dict[str, Bool[np.ndarray, " vertex"]],
) -> Float[np.ndarray, "expression vertex 3"]:
    names = source.expression_names
    eyeballs = {"Left": regions["left_eye"], "Right": regions["right_eye"]}
    shapes = sampled.sample(source.expression_basis) + gaze_shapes(names, vertices, eyeballs)
    for side in eyeballs:
        shapes[names.index(f"eyeBlink{side}")] *= BLINK_GAIN
    shapes[names.index("tongueOut")] = tongue_out(vertices, regions["tongue"])
    return shapes


def report(head: HeadAssets, sampled: SampledHead, source: HeadAssets, path: Path, source_path: Path) -> None:
    """Print what the file holds and how well it reproduces the source."""
    size_mib = path.stat().st_size / 2**20
    print(f"{path}: {len(head.vertices_mm)} vertices, {len(head.faces)} triangles, {size_mib:.1f} MiB")
    for name, mask in head.regions.items():
        print(f"  {name:12s} {int(mask.sum()):6d} vertices")
    shapes = source_expressions_mm(source_path, len(source.vertices_mm))
    error = resampling_error(head, sampled, source.vertices_mm, source.identity_basis, shapes)
    print(
        f"1,000 random source faces with random expressions: mean vertex distance {error.mean_mm:.3f} mm,"
        f" worst face {error.worst_face_mm:.3f} mm, worst vertex {error.worst_vertex_mm:.2f} mm"
    )


def _half_vertices(text: str) -> int:
    if not text.isdecimal() or int(text) < _FEWEST_HALF_VERTICES:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least {_FEWEST_HALF_VERTICES} vertices")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True, help="ICT-FaceKit's light model as .npz")
    parser.add_argument("--output", type=Path, required=True, help="the head file to write")
    parser.add_argument(
        "--half-vertices", type=_half_vertices, default=HALF_VERTICES, help="of the left half; at least 500"
    )
    parser.add_argument(
        "--succeeds", type=Path, help="a head file of the same skin: take its albedo, stand in for it in checkpoints"
    )
    options = parser.parse_args(arguments)
    source = read_ict_facekit(options.source)
    head, sampled = build(source, LANDMARKS, options.half_vertices)
    if options.succeeds is not None:
        head = succeeding(head, load_head(options.succeeds), file_sha256(options.succeeds))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    save_head(head, options.output)
    report(load_head(options.output), sampled, source, options.output, options.source)


if __name__ == "__main__":
    main()

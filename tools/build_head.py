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
from model.face.parts import PART_NAMES
from model.face.readers.ict import read_ict_facekit
from tools.head.assemble import SampledHead, heaviest_corners, mean_vertices, reflect, reflect_texture
from tools.head.atlas_layout import lay_out
from tools.head.decimate import Decimator
from tools.head.exposure import exposure
from tools.head.expressions import BLINK_GAIN, gaze_shapes, tongue_out
from tools.head.eyeballs import eyeball
from tools.head.half_mesh import HalfMesh, left_half
from tools.head.landmark_transfer import LandmarkTransfer
from tools.head.parts import source_parts
from tools.head.piece import joined
from tools.head.rebuild import RebuiltHalf, carried_landmarks, rebuilt
from tools.head.regions import EARS_NOT_EVENED, head_regions, near_ears
from tools.head.relax import SampledMesh, compact, slide, turn_edges
from tools.head.skin_chart import SkinWishes, skin_wishes
from tools.head.spacing import vertex_spacing_mm
from tools.head.succession import succeeding
from tools.head.teeth import arches
from tools.head.validation import resampling_error, source_expressions_mm

LANDMARKS = Path(__file__).parent / "head" / "landmarks.npz"
HALF_VERTICES = 5600
_FEWEST_HALF_VERTICES = 500
"""Here every region is still there; thinned as far as it goes (209 vertices in all), ears and nose are gone."""
_FEATURE_RADIUS_MM = 12.0
"""Around brows, eyes, nose and lips vertices stay on the source's own edge lines: creases must not be cut across."""

LEFT_PUPIL = 473
"""Among MediaPipe's 478."""
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
    half_parts = {name: mask[half.source] for name, mask in parts.items()}
    thinned = mesh
    rebuilt_half = _with_teeth_and_eyes(thinned, half, half_parts, placed["mediapipe478_point"][LEFT_PUPIL])
    mesh = rebuilt_half.mesh
    sampled = reflect(mesh, half, source)
    vertices = rebuilt_half.place(mean_vertices(mesh, half), sampled.mirror)
    our_parts = {name: sampled.part(mask) for name, mask in parts.items()}
    regions = head_regions(vertices, our_parts, landmarks68_mm)
    expressions = _expressions(source, sampled, vertices, regions)
    names = source.expression_names
    uv, uv_faces = _texture_space(rebuilt_half, sampled, vertices, expressions, names, our_parts, regions)
    transfer = LandmarkTransfer(thinned, half, source.mirror)
    mirrors = {"ibug68": IBUG68_MIRROR, "mediapipe478": MEDIAPIPE478_MIRROR}
    landmarks = {}
    for name, mirror in mirrors.items():
        before = transfer.place(placed[f"{name}_point"], placed[f"{name}_corners"], mirror)
        points, left_mm = placed[f"{name}_point"], vertices[: len(mesh.corners)]
        landmarks[name] = carried_landmarks(before, thinned, rebuilt_half, points, left_mm, mirror)
    head = HeadAssets(
        vertices_mm=vertices,
        faces=sampled.faces,
        uv=uv,
        uv_faces=uv_faces,
        identity_basis=_joined(sampled.sample(source.identity_basis), vertices, sampled.mirror),
        expression_basis=expressions,
        expression_names=source.expression_names,
        albedo_mean=np.full_like(vertices, 0.4),
        albedo_basis=np.zeros((0, *vertices.shape), np.float32),
        mirror=sampled.mirror,
        landmarks=landmarks,
        regions=regions,
        identity_center=placed["mean_identity"],
        exposure=_exposure(vertices, sampled.faces, expressions[names.index("jawOpen")], regions, sampled.mirror),
    )
    return head, sampled


def _with_teeth_and_eyes(
    mesh: SampledMesh,
    half: HalfMesh,
    parts: dict[str, Bool[np.ndarray, " half_vertex"]],
    pupil_mm: Float[np.ndarray, " 3"],
) -> RebuiltHalf:
    """The half with arches for its thinned teeth and rings for its thinned eyeball."""
    teeth, shell = (np.flatnonzero(parts[name][half.faces].all(1)) for name in ("teeth", "eyes"))
    upper, lower = arches(half.vertices_mm, half.faces, teeth)
    pieces = {
        PART_NAMES.index("teeth"): joined(upper, lower),
        PART_NAMES.index("eyes"): eyeball(half.vertices_mm, half.faces, shell, pupil_mm),
    }
    heaviest = heaviest_corners(mesh.corners, mesh.weights)
    gone = (parts["teeth"] | parts["eyes"])[heaviest]
    return rebuilt(mesh, half, pieces, gone, parts["gums"][heaviest])


def _exposure(
    vertices: Float[np.ndarray, "vertex 3"],
    faces: Int[np.ndarray, "face 3"],
    jaw_open: Float[np.ndarray, "vertex 3"],
    regions: dict[str, Bool[np.ndarray, " vertex"]],
    mirror: Int[np.ndarray, " vertex"],
) -> Float[np.ndarray, " vertex"]:
    """How open each vertex is to be seen: at rest, and what is in the mouth with the jaw open."""
    inside = regions["mouth_inner"] | regions["teeth"] | regions["tongue"]
    seen = np.where(inside, exposure(vertices + jaw_open, faces), exposure(vertices, faces))
    return (0.5 * (seen + seen[mirror])).astype(np.float32)


def _joined(
    shapes: Float[np.ndarray, "shape vertex 3"],
    vertices: Float[np.ndarray, "vertex 3"],
    mirror: Int[np.ndarray, " vertex"],
) -> Float[np.ndarray, "shape vertex 3"]:
    """Pairs of vertices that meet on the mid-line, between the middle teeth, move as one."""
    meeting = np.flatnonzero((vertices[:, 0] == 0.0) & (mirror != np.arange(len(mirror))))
    shapes[:, meeting] = 0.5 * (shapes[:, meeting] + shapes[:, mirror[meeting]])
    return shapes


def _texture_space(
    rebuilt_half: RebuiltHalf,
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
    mesh, thinned = rebuilt_half.mesh, slice(rebuilt_half.thinned_faces)
    left = len(mesh.corners)
    left_parts = {name: mask[:left] for name, mask in parts.items()}
    left_wishes = SkinWishes(wishes.share[:left], wishes.care[:left])
    points, faces, textures = vertices[:left].astype(float), mesh.faces[thinned], mesh.uv_faces[thinned]
    uv, uv_faces = lay_out(points, mesh.middle, faces, mesh.uv, textures, left_parts, left_wishes)
    own_rows, own_faces = np.unique(mesh.uv_faces[rebuilt_half.thinned_faces :], return_inverse=True)
    whole = np.concatenate((uv, mesh.uv[own_rows]))
    return reflect_texture(whole, np.concatenate((uv_faces, len(uv) + own_faces.reshape(-1, 3))))


def _expressions(
    source: HeadAssets,
    sampled: SampledHead,
    vertices: Float[np.ndarray, "vertex 3"],
    regions: dict[str, Bool[np.ndarray, " vertex"]],
) -> Float[np.ndarray, "expression vertex 3"]:
    names = source.expression_names
    eyeballs = {"Left": regions["left_eye"], "Right": regions["right_eye"]}
    shapes = _joined(sampled.sample(source.expression_basis), vertices, sampled.mirror)
    shapes += gaze_shapes(names, vertices, eyeballs)
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

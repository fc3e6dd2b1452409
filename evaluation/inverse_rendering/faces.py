"""The benchmark's faces: drawn, painted and path-traced once, from a seed; everything about them is known."""

import dataclasses
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import binary_erosion, gaussian_filter
from torch.nn.functional import normalize

from common.atomic import atomic_path
from common.ranges import AT_LEAST_ONE, checked
from evaluation.inverse_rendering.lights import SceneLight, hard_light, smooth_light
from evaluation.inverse_rendering.skin import PaintedSkin, paint_skin
from evaluation.inverse_rendering.truth import LEAST_COSINE, TexelTruth, face_triangles, texel_truth
from model.face.detail import Detail
from model.face.hierarchy import MeshHierarchy
from model.face.morphable_model import MorphableModel
from model.geometry.camera import project
from model.geometry.mesh import vertex_normals
from model.geometry.rotation import rotation_from_euler
from model.look.appearance import Appearance
from model.look.atlas import Atlas, build_atlas
from model.parameters import FaceParameters
from model.refine.face import FittedFace
from model.refine.mitsuba.scene import PathTraced, render
from model.refine.raytrace.pixel_surface import HeadGeometry
from model.render.backends import build_rasterizer
from model.render.color import linear_to_srgb
from model.render.lighting import neutral_lighting
from training.relief import Relief

TEXTURE_PX = 512
_FRAME_MM = 240.0
"""How much of the face's plane is in the picture: as much as the refinement cuts out of photographs."""

_RECIPE = 4
"""To be raised with every change of what is drawn, so that no old picture is taken for a new one."""


@dataclass(frozen=True)
class FacePlan:
    """What is chosen by hand so that the faces are spread evenly; the rest is drawn.

    Attributes:
        tone: Luminance of the mean albedo of the face, before spots and hairs.
        lamps: Small lamps; 0 for a smooth environment.
        yaw_degrees: Where the face looks.
        freckles: How many.
        stubble: Density of the beard.
    """

    tone: float
    lamps: int
    yaw_degrees: float
    freckles: int
    stubble: float


PLANS = (
    FacePlan(0.07, 1, 8.0, 0, 0.5),
    FacePlan(0.11, 0, -18.0, 0, 0.0),
    FacePlan(0.16, 1, -6.0, 20, 0.0),
    FacePlan(0.22, 2, 22.0, 0, 0.7),
    FacePlan(0.28, 0, 4.0, 60, 0.0),
    FacePlan(0.35, 1, -12.0, 0, 0.3),
    FacePlan(0.42, 2, 14.0, 220, 0.0),
    FacePlan(0.50, 1, -25.0, 120, 0.0),
)


@dataclass(frozen=True)
@checked(ranges={AT_LEAST_ONE: ("size_px", "samples", "max_depth")})
class RenderSettings:
    """How the faces are traced.

    Attributes:
        size_px: Side of the photographs.
        samples: Paths per pixel and kind of light.
        max_depth: Longest path; 4 is two bounces from face to face.
        seed: Of everything random.
    """

    size_px: int = 256
    samples: int = 512
    max_depth: int = 4
    seed: int = 20


@dataclass(frozen=True)
class BenchmarkFace:
    """A photograph and the truth about it.

    Attributes:
        name: For tables.
        plan: What it was drawn by.
        photograph_srgb: As a camera without tone curve would take it: clipped, with a little noise, 8 bits.
        intrinsics_px: Camera of the photograph.
        truth: Parameters and relief of the head; its albedo and lighting say nothing.
        appearance: The maps and the light it was traced with.
        seen_face: Pixels that show the face's skin alone, not at grazing angles.
        texels: What is known per texel.
    """

    name: str
    plan: FacePlan
    photograph_srgb: UInt8[np.ndarray, "size size 3"]
    intrinsics_px: Float[torch.Tensor, "3 3"]
    truth: FittedFace
    appearance: Appearance
    seen_face: Bool[np.ndarray, "size size"]
    texels: TexelTruth


def benchmark_faces(
    model: MorphableModel, hierarchy: MeshHierarchy, folder: Path, settings: RenderSettings, count: int = len(PLANS)
) -> list[BenchmarkFace]:
    """The first faces of the benchmark, traced now or taken from where they were kept.

    Args:
        model: The head.
        hierarchy: Of the head's mesh, for relief that the model cannot make.
        folder: Where traced pictures are kept; made if missing.
        settings: How they are traced.
        count: How many.

    Raises:
        MitsubaUnavailableError: If a face must be traced and Mitsuba is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    atlas, relief = build_atlas(model, TEXTURE_PX), Relief(model, hierarchy)
    return [_face(number, model, atlas, relief, folder, settings) for number in range(count)]


def _face(
    number: int, model: MorphableModel, atlas: Atlas, relief: Relief, folder: Path, settings: RenderSettings
) -> BenchmarkFace:
    plan = PLANS[number]
    random = np.random.default_rng([settings.seed, number])
    truth = draw_head(plan, model, relief, random, settings.size_px)
    maps = painted(plan, truth, model, atlas, random)
    mesh = truth.mesh(model)
    geometry = HeadGeometry(mesh.vertices_camera_mm[0], model.faces, model.uv, model.uv_faces)
    middle_mm = geometry.vertices_mm.mean(0).numpy()
    light = (
        hard_light(random, middle_mm, truth.parameters.rotation[0].numpy(), plan.lamps)
        if plan.lamps
        else smooth_light(random)
    )
    flat = np.zeros((TEXTURE_PX, TEXTURE_PX, 3), np.float32) + np.array([0.0, 0.0, 1.0], np.float32)
    everywhere = np.ones((TEXTURE_PX, TEXTURE_PX), np.float32)

    def lit(by: SceneLight) -> Appearance:
        return Appearance(
            *(maps.diffuse_linear, maps.specular_f0, maps.roughness, flat, everywhere),
            *(by.environment_linear, by.lamps, 0.0),
        )

    # What the skin's maps do not cover, the eyes for one, is as the model says.
    inside = model.albedo_linear(truth.parameters.albedo)[0].clamp(0.01, 1.0)
    picture = _traced(number, geometry, lit(light), inside, truth.intrinsics_px, folder, settings)
    seen_face = _seen_face(model, geometry, truth, picture, settings.size_px)
    # Cameras meter the whole picture: the exposure makes up for a part of the skin's tone. Highlights go beyond white.
    level = picture.image_linear.numpy()[seen_face].mean()
    gain = exposure(plan) / float(level)
    appearance = lit(light.scaled(gain))
    return BenchmarkFace(
        name=f"{number}: tone {plan.tone:.2f}, {'hard' if plan.lamps else 'smooth'}",
        plan=plan,
        photograph_srgb=as_photograph(gain * picture.image_linear.numpy(), picture.coverage.numpy(), random),
        intrinsics_px=truth.intrinsics_px,
        truth=truth,
        appearance=appearance,
        seen_face=seen_face,
        texels=texel_truth(model, geometry, appearance, truth.intrinsics_px, settings.size_px),
    )


def exposure(plan: FacePlan) -> float:
    """Mean linear value of a face in its photograph: cameras make up for a part of the skin's tone."""
    return 0.52 * plan.tone**0.7


def painted(
    plan: FacePlan, truth: FittedFace, model: MorphableModel, atlas: Atlas, random: np.random.Generator
) -> PaintedSkin:
    """The skin of a head that was drawn by the same plan."""
    return paint_skin(
        model,
        atlas,
        model.albedo_linear(truth.parameters.albedo)[0].numpy(),
        np.clip(random.uniform(0.01, 0.05) * np.array([1.0, 0.75, 0.55]) + 0.004, 0.0, 1.0).astype(np.float32),
        random,
        freckles=plan.freckles,
        stubble=plan.stubble,
    )


def draw_head(
    plan: FacePlan, model: MorphableModel, relief: Relief, random: np.random.Generator, size_px: int
) -> FittedFace:
    """A head of the plan's tone and turn before a camera whose view is drawn."""

    def normal(count: int, deviation: float) -> torch.Tensor:
        return torch.from_numpy(random.normal(0.0, deviation, (1, count)).astype(np.float32))

    expression = np.zeros((1, model.expression_count), np.float32)
    moved = random.choice(model.expression_count, min(6, model.expression_count), replace=False)
    expression[0, moved] = random.uniform(0.0, 0.25, len(moved))
    angles = np.radians([plan.yaw_degrees, random.uniform(-8.0, 8.0), random.uniform(-6.0, 6.0)])
    # The photographs' cameras differ, and a user does not say what they are.
    field_of_view = math.radians(random.uniform(19.0, 30.0))
    focal_px = 0.5 * size_px / math.tan(0.5 * field_of_view)
    distance_mm = _FRAME_MM * focal_px / size_px
    place_mm = [random.uniform(-12.0, 12.0), random.uniform(22.0, 32.0), -distance_mm - 60.0]
    offsets_mm = relief.offsets_mm(random.standard_normal(relief.count).astype(np.float32))[None]
    vertex_count = len(model.mean_mm)
    parameters = FaceParameters(
        identity=normal(model.identity_count, 0.7),
        expression=torch.from_numpy(expression),
        albedo=_albedo_of_tone(plan.tone, normal(model.albedo_count, 0.6), model),
        rotation=rotation_from_euler(torch.from_numpy(angles.astype(np.float32))[None]),
        translation_mm=torch.tensor([place_mm]),
        lighting=neutral_lighting(1),
    )
    nothing = torch.zeros(1, vertex_count)
    detail = Detail(offsets_mm, torch.zeros(1, vertex_count, 3), nothing, nothing)
    middle = 0.5 * size_px
    intrinsics_px = torch.tensor([[focal_px, 0.0, middle], [0.0, focal_px, middle], [0.0, 0.0, 1.0]])
    return FittedFace(parameters, detail, intrinsics_px)


def _albedo_of_tone(tone: float, albedo: torch.Tensor, model: MorphableModel) -> torch.Tensor:
    """Coefficients with the first, which is the tone, set so that the mean face has a luminance."""
    weights = torch.tensor([0.2126, 0.7152, 0.0722])
    face = model.region("face")
    # The components are absolute: on dark skin as much of them would be paint.
    albedo = albedo * min(1.0, tone / 0.3)
    albedo[:, 0] = 0.0
    step = (model.albedo_basis[0].view(-1, 3)[face] @ weights).mean()
    start = (model.albedo_linear(albedo)[0, face] @ weights).mean()
    albedo[:, 0] = (tone - start) / step
    return albedo


def _traced(
    number: int,
    geometry: HeadGeometry,
    appearance: Appearance,
    inside_linear: torch.Tensor,
    intrinsics_px: torch.Tensor,
    folder: Path,
    settings: RenderSettings,
) -> PathTraced:
    """The picture, kept under a name that changes with anything it shows."""
    content = hashlib.sha256(repr((_RECIPE, dataclasses.astuple(settings))).encode())
    lamps = [np.concatenate([lamp.position_mm, [lamp.radius_mm], lamp.radiance_linear]) for lamp in appearance.lamps]
    environment = appearance.environment_linear
    for array in (geometry.vertices_mm.numpy(), appearance.diffuse_linear, intrinsics_px.numpy(), environment, *lamps):
        # Rounded: the last bit is the machine's.
        content.update(np.round(np.asarray(array, np.float64), 2).tobytes())
    path = folder / f"face{number}-{content.hexdigest()[:12]}.npz"
    if not path.is_file():
        picture = render(
            geometry,
            appearance,
            intrinsics_px,
            settings.size_px,
            vertex_albedo_linear=inside_linear,
            samples=settings.samples,
            max_depth=settings.max_depth,
            seed=number,
        )
        with atomic_path(path) as temporary:
            np.savez(temporary, image=picture.image_linear.numpy(), coverage=picture.coverage.numpy())
    with np.load(path) as stored:
        return PathTraced(torch.from_numpy(stored["image"]), torch.from_numpy(stored["coverage"]))


def _seen_face(
    model: MorphableModel, geometry: HeadGeometry, truth: FittedFace, picture: PathTraced, size_px: int
) -> Bool[np.ndarray, "size size"]:
    """Pixels that show the face's skin at a cosine of `LEAST_COSINE` or more, and whose neighbours do."""
    rasterizer, vertices_mm = build_rasterizer("cpu"), geometry.vertices_mm[None]
    fragments = rasterizer.rasterize(project(vertices_mm, truth.intrinsics_px[None]), model.faces, size_px, size_px)
    seen = fragments.face_index[0].long()
    values = torch.cat((vertices_mm, vertex_normals(vertices_mm, model.faces)), dim=-1)
    position_mm, normal = rasterizer.interpolate(values, fragments, model.faces)[0].split(3, dim=-1)
    cosine = (normalize(normal, dim=-1) * normalize(-position_mm, dim=-1)).sum(-1)
    skin = face_triangles(model)[seen.clamp(min=0)] & (seen >= 0) & (cosine >= LEAST_COSINE)
    return binary_erosion(skin.numpy() & (picture.coverage.numpy() > 0.999), np.ones((3, 3), bool))


def as_photograph(
    image_linear: Float[np.ndarray, "size size 3"],
    coverage: Float[np.ndarray, "size size"],
    random: np.random.Generator,
) -> UInt8[np.ndarray, "size size 3"]:
    """What a camera makes of a picture: a background, noise, clipping and 8 bits."""
    size = len(coverage)
    noise = gaussian_filter(random.standard_normal((size, size, 4)), (size / 12.0, size / 12.0, 0.0))
    noise = noise / noise.std()
    background = np.exp(math.log(random.uniform(0.05, 0.4)) + 0.4 * noise[..., :1] + 0.1 * noise[..., 1:])
    linear = np.clip(image_linear + (1.0 - coverage[..., None]) * background, 0.0, None)
    # Photons and read-out of a good sensor: 46 dB at white.
    linear = linear + random.standard_normal(linear.shape) * np.sqrt(2.5e-5 * linear + 1e-6)
    srgb = linear_to_srgb(torch.from_numpy(np.clip(linear, 0.0, 1.0)))
    return np.rint(255.0 * srgb.numpy()).astype(np.uint8)

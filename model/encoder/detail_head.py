"""The mesh decoder: per-vertex detail from what the photograph shows at each vertex of the linear head.

    photograph at the vertices, linear head there ──> stem ─────────────────────────────> outputs per vertex
                                                        │ down                      up │
                                                     Chebyshev, level 1 ──────> Chebyshev
                                                        │ ...                      ... │
    pooled features of the encoder ─────────────────> coarsest level: Chebyshev

A U-net on the head's hierarchy: the fine level keeps what is sharp, the coarse ones complete what is hidden. Features
sampled where a vertex projects are those of PIFu (Saito et al., ICCV 2019), the graph layers those of Ranjan et al.
(ECCV 2018), a decoder on the encoder's features that refines a linear model's texture that of Lin et al. ("Towards
high-fidelity 3D face reconstruction from in-the-wild images using graph convolutional networks", CVPR 2020).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from common.paths import tool_command
from common.photograph import GREY_DIFFERENCE
from model.encoder.config import DetailConfig
from model.encoder.mesh_convolution import ChebyshevConvolution, adjacency, downsampling, upsampling
from model.face.detail import Detail, local_frames
from model.face.hierarchy import MeshHierarchy
from model.face.morphable_model import MorphableModel
from model.face.regions import NO_SKIN, any_region
from model.geometry.camera import project
from model.geometry.mesh import Mesh, faces_around, vertex_normals
from model.geometry.vertex_sampling import sample_at_vertices, vertex_visibility
from model.parameters import FaceParameters
from model.render.color import linear_to_srgb, luminance, srgb_to_linear
from model.render.lighting import shade

SIGMA_START_MM = 2.0
"""What an untrained decoder says of every vertex."""

_DARKEST_SHADING = 0.08
"""Where less light falls the photograph says nothing of the albedo."""
# photograph 3, rendering 3, residual and mirrored residual 3 each, visibility and the mirrored one, normal 3, shading,
# place on the mean head 3
_INPUTS = 21
# offsets 3, gate of the residual 1, added albedo 3, log of sigma 1
_OUTPUTS = (3, 1, 3, 1)


@dataclass(frozen=True)
class VertexEvidence:
    """What a photograph says at the vertices of a head, without gradient.

    Attributes:
        inputs: Everything the decoder is fed.
        residual_linear: Albedo that would explain the photograph, less the linear model's; 0 where it is not seen.
        visibility: How well the vertex is seen, [0, 1].
    """

    inputs: Float[Tensor, "batch vertex input"]
    residual_linear: Float[Tensor, "batch vertex 3"]
    visibility: Float[Tensor, "batch vertex"]


class DetailHead(nn.Module):
    """Encoder features and per-vertex evidence to `Detail`.

    Attributes:
        config: Its sizes and bounds.
    """

    mirror: Int[Tensor, " vertex"]
    faces: Int[Tensor, "face 3"]
    around: Int[Tensor, "vertex around"]
    frames: Float[Tensor, "vertex 3 3"]
    place: Float[Tensor, "vertex 3"]
    movable: Float[Tensor, "vertex"]

    def __init__(
        self, config: DetailConfig, feature_count: int, model: MorphableModel, hierarchy: MeshHierarchy
    ) -> None:
        """Build an untrained decoder: it adds nothing.

        Args:
            config: Sizes and bounds.
            feature_count: Width of the encoder's pooled features.
            model: The head; only its fixed tables are kept.
            hierarchy: Its levels.

        Raises:
            ValueError: If the hierarchy is another head's, or has another number of levels than the config.
        """
        super().__init__()
        if hierarchy.vertex_count != len(model.mean_mm):
            raise ValueError(
                f"the hierarchy is for {hierarchy.vertex_count} vertices, this head has {len(model.mean_mm)}: "
                f"run {tool_command('build_hierarchy')}"
            )
        if len(config.channels) > len(hierarchy.levels) + 1:
            raise ValueError(
                f"detail.channels: {len(config.channels)} levels, the hierarchy has {1 + len(hierarchy.levels)}"
            )
        self.config = config
        self._keep_tables(model)
        levels = hierarchy.levels[: len(config.channels) - 1]
        graphs = [adjacency(level.edges, len(level.vertices)) for level in levels]
        self.graphs = nn.ModuleList(graphs)
        self.down = nn.ModuleList(downsampling(level) for level in levels)
        self.up = nn.ModuleList(upsampling(level) for level in levels)
        fine, *coarse = config.channels
        self.stem = nn.Sequential(nn.Linear(_INPUTS, fine), nn.SiLU(), nn.Linear(fine, fine))
        wider = list(zip(graphs, config.channels, coarse, strict=False))
        self.descent = nn.ModuleList(ChebyshevConvolution(g, low, high, config.order) for g, low, high in wider)
        narrower = list(zip(graphs[:-1], coarse[:-1], coarse[1:], strict=True))
        self.narrow = nn.ModuleList(nn.Linear(high, low) for _, low, high in narrower)
        self.ascent = nn.ModuleList(ChebyshevConvolution(graph, low, low, config.order) for graph, low, _ in narrower)
        self.encoded = nn.Linear(feature_count, coarse[-1])
        self.node = nn.Parameter(torch.zeros(len(levels[-1].vertices), 1, coarse[-1]))
        self.bottom = ChebyshevConvolution(graphs[-1], coarse[-1], coarse[-1], config.order)
        self.read_inputs = nn.Linear(_INPUTS, 2 * fine)
        self.read_stem = nn.Linear(fine, 2 * fine)
        self.read_levels = nn.Linear(coarse[0], 2 * fine)
        self.outputs = nn.Linear(2 * fine, sum(_OUTPUTS))
        nn.init.zeros_(self.outputs.weight)
        nn.init.zeros_(self.outputs.bias)

    def _keep_tables(self, model: MorphableModel) -> None:
        mean = model.mean_mm
        for name, table in (
            ("mirror", model.mirror.clone()),
            ("faces", model.faces.clone()),
            ("around", faces_around(model.faces, len(mean))),
            ("frames", local_frames(mean, model.faces)),
            ("place", (mean - mean.mean(0)) / mean.std()),
            ("movable", (~any_region(model, *NO_SKIN)).float()),
        ):
            self.register_buffer(name, table, persistent=False)

    def forward(
        self,
        image_srgb: Float[Tensor, "batch 3 height width"],
        intrinsics_px: Float[Tensor, "batch 3 3"],
        features: Float[Tensor, "batch feature"],
        parameters: FaceParameters,
        mesh: Mesh,
    ) -> Detail:
        """Refine linear heads.

        Args:
            image_srgb: Crops in [0, 1].
            intrinsics_px: Their cameras.
            features: The encoder's pooled features of them.
            parameters: Its answer.
            mesh: The linear heads of that answer.
        """
        # What the photograph shows at each vertex against what the linear head shows there; then the graph layers.
        evidence = self.evidence(image_srgb, intrinsics_px, parameters, mesh)
        return self.decode(evidence, features)

    @torch.no_grad()
    def evidence(
        self,
        image_srgb: Float[Tensor, "batch 3 height width"],
        intrinsics_px: Float[Tensor, "batch 3 3"],
        parameters: FaceParameters,
        mesh: Mesh,
    ) -> VertexEvidence:
        """Look up what the photograph shows at each vertex and compare it with the linear head."""
        # Camera space, mm, to pixels of the crop; which vertices the camera sees, in [0, 1].
        vertices_image = project(mesh.vertices_camera_mm, intrinsics_px)
        around = self.around if torch.compiler.is_compiling() else None
        normals = vertex_normals(mesh.vertices_camera_mm, self.faces, around)
        visibility = vertex_visibility(vertices_image, mesh.vertices_camera_mm, normals, *image_srgb.shape[-2:])
        seen = visibility[..., None]
        # The photograph's colour at each vertex (sRGB) beside that of the linear head in its light (linear RGB).
        shading = shade(normals, parameters.lighting)
        photograph_srgb = seen * sample_at_vertices(image_srgb, vertices_image)
        rendering = mesh.albedo_linear * shading
        # Linear albedo that would explain the difference; 0 where the vertex is not seen.
        residual = seen * _albedo_residual(image_srgb, photograph_srgb, mesh.albedo_linear, shading)
        # 21 numbers per vertex; places and normals are those of camera space, `place` that of the mean head.
        inputs = torch.cat(
            (
                photograph_srgb,
                linear_to_srgb(rendering),
                residual,
                residual[:, self.mirror],
                seen,
                seen[:, self.mirror],
                normals,
                luminance(shading)[..., None],
                self.place.expand_as(normals),
            ),
            dim=-1,
        )
        return VertexEvidence(inputs, residual, visibility)

    def decode(self, evidence: VertexEvidence, features: Float[Tensor, "batch feature"]) -> Detail:
        """The graph layers alone."""
        # The graph layers take (vertex, batch, channel). Way down: features on the mesh, then on each coarser graph.
        inputs = evidence.inputs.transpose(0, 1)
        levels = [self.stem(inputs)]
        for down, layer in zip(self.down, self.descent, strict=True):
            levels.append(nn.functional.silu(layer(down(levels[-1]))))
        # Coarsest graph: the encoder's pooled features join, the same for all vertices.
        bottom = levels.pop()
        # Added to, not concatenated: an untrained encoding must not drown the evidence.
        current = nn.functional.silu(self.bottom(bottom + self.encoded(features) + self.node)) + bottom
        # Way up: each finer graph adds what it kept on the way down.
        # Everything is made narrow before it goes up, and summed rather than stacked: a third of the time.
        way_up = zip(reversed(self.up[1:]), reversed(self.narrow), reversed(self.ascent), strict=True)
        for up, narrow, layer in way_up:
            current = nn.functional.silu(layer(up(narrow(current)) + levels.pop()))
        # On the mesh itself: (batch, vertex, 8), without unit yet; `_bounded` gives mm, albedo and sigma.
        hidden = self.up[0](self.read_levels(current)) + self.read_stem(levels.pop()) + self.read_inputs(inputs)
        # Autocast may have made it narrower than what it is added to.
        raw = self.outputs(nn.functional.silu(hidden)).to(evidence.inputs.dtype).transpose(0, 1)
        return self._bounded(raw, evidence)

    def _bounded(self, raw: Float[Tensor, "batch vertex 8"], evidence: VertexEvidence) -> Detail:
        offsets, gate, added, log_sigma = raw.split(_OUTPUTS, dim=-1)
        config = self.config
        bounds_mm = raw.new_tensor([config.largest_tangent_mm, config.largest_tangent_mm, config.largest_normal_mm])
        # In units of the bounds: an optimiser whose steps are of one size for all weights moves millimetres and
        # hundredths of albedo equally fast.
        local_mm = bounds_mm * torch.tanh(offsets) * self.movable[:, None]
        # Linear albedo: a share of what the photograph asks for, and what the decoder adds by itself.
        albedo = gate * evidence.residual_linear + config.largest_albedo * torch.tanh(added)
        return Detail(
            # From each vertex's own frame (two tangents, normal) to model space.
            offsets_mm=torch.einsum("bvk,vkx->bvx", local_mm, self.frames),
            albedo_linear=albedo,
            # Between a fiftieth of the start and ten times it.
            sigma_mm=SIGMA_START_MM * log_sigma[..., 0].clamp(-4.0, 2.3).exp(),
            visibility=evidence.visibility,
        )


def _albedo_residual(
    image_srgb: Float[Tensor, "batch 3 height width"],
    photograph_srgb: Float[Tensor, "batch vertex 3"],
    albedo_linear: Float[Tensor, "batch vertex 3"],
    shading: Float[Tensor, "batch vertex 3"],
) -> Float[Tensor, "batch vertex 3"]:
    """Albedo under which the photograph would be explained, less the given one; only its level for grey pictures."""
    # Linear RGB: the photograph's radiance over the light that arrives.
    wanted = srgb_to_linear(photograph_srgb.clamp(0.0, 1.0)) / shading.clamp(min=_DARKEST_SHADING)
    # For a grey photograph: the given albedo at the photograph's level of brightness.
    level = luminance(wanted) / luminance(albedo_linear).clamp(min=0.02)
    grey_wanted = albedo_linear * level[..., None]
    grey = (image_srgb.amax(1) - image_srgb.amin(1)).mean((1, 2)) < GREY_DIFFERENCE / 255.0
    wanted = torch.where(grey[:, None, None], grey_wanted, wanted)
    return wanted.clamp(0.0, 1.2) - albedo_linear

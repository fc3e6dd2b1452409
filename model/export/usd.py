"""`mesh.usdz`: the head for USD, with the same meshes, blendshapes, skeleton and camera as `mesh.glb`, in metres."""

# The package has no types: its modules fill themselves when they are loaded.
# pyright: reportAttributeAccessIssue=false

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from pxr import Gf, Sdf, Usd, UsdGeom, UsdShade, UsdSkel, Vt
from scipy.spatial.transform import Rotation

from common.atomic import atomic_path
from common.mesh_options import PoseKind
from model.export.glb_buffer import moved_rows
from model.export.glb_skeleton import M_PER_MM, strongest
from model.export.mesh_part import MeshPart
from model.export.picture_files import encoded_jpeg, encoded_png
from model.face.skeleton import JOINT_NAMES, PARENTS
from model.look.face_result import FaceResult
from model.look.hair_mesh import COVER_CUTOFF
from model.look.rig import HeadRig

_ROOT, _HEAD = "/Likeness", "/Likeness/Head"
_FOCAL = 50.0
"""Of the camera; apertures are relative to it."""
_ROUGHNESS, _QUALITY = 0.5, 93


def write_usd(
    result: FaceResult,
    parts: Sequence[MeshPart],
    rig: HeadRig,
    pictures: Mapping[str, UInt8[np.ndarray, "height width channel"]],
    path: Path,
    picture_px: tuple[int, int],
    pose: PoseKind = "front",
) -> None:
    """Write the head with its textures into one file.

    Points are not split at texture seams: texture coordinates are those of corners. The photograph's expression is in
    the weights of the skeleton's animation, without which the head is neutral.

    Args:
        result: The face.
        parts: Its meshes.
        rig: Its joints.
        pictures: What covers each part, sRGB; a fourth channel says where there is something.
        path: The file, with the ending `.usdz`.
        picture_px: Width and height of the photograph.
        pose: Where head and camera stand.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        stage = Usd.Stage.CreateNew(str(folder / "mesh.usdc"))
        UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
        UsdGeom.SetStageMetersPerUnit(stage, 1.0)
        stage.SetDefaultPrim(UsdGeom.Xform.Define(stage, _ROOT).GetPrim())
        head = UsdSkel.Root.Define(stage, _HEAD)
        if pose == "photograph":
            head.AddTransformOp().Set(_matrix(result.rotation, result.translation_mm))
        skeleton = _add_skeleton(stage, result, rig)
        for part in parts:
            mesh = _add_mesh(stage, part, skeleton, result.expression_names)
            _add_material(stage, mesh, part.name, pictures[part.name], folder)
        _add_camera(stage, result, picture_px, pose)
        stage.Save()
        with atomic_path(path) as written:
            package = Sdf.ZipFileWriter.CreateNew(str(folder / "package.usdz"))
            # The first file of a package is the one that is opened.
            for file in (folder / "mesh.usdc", *sorted(folder.glob("*.[jp][pn]g"))):
                package.AddFile(str(file), file.name)
            package.Save()
            written.write_bytes((folder / "package.usdz").read_bytes())


def _add_skeleton(stage: Usd.Stage, result: FaceResult, rig: HeadRig) -> UsdSkel.Skeleton:
    """Joints, and an animation that holds what they and the blendshapes do in the photograph."""
    paths = [JOINT_NAMES[0]]
    for name, parent in zip(JOINT_NAMES[1:], PARENTS[1:], strict=True):
        paths.append(f"{paths[parent]}/{name}")
    upright = np.eye(3)
    skeleton = UsdSkel.Skeleton.Define(stage, f"{_HEAD}/Skeleton")
    skeleton.CreateJointsAttr(paths)
    skeleton.CreateBindTransformsAttr([_matrix(upright, place) for place in rig.joints_mm])
    local = [
        rig.joints_mm[joint] - (rig.joints_mm[parent] if parent >= 0 else 0.0) for joint, parent in enumerate(PARENTS)
    ]
    skeleton.CreateRestTransformsAttr([_matrix(upright, place) for place in local])
    animation = UsdSkel.Animation.Define(stage, f"{_HEAD}/Photograph")
    expression = dict(zip(result.expression_names, result.expression.tolist(), strict=True))
    motions = [rig.motion(joint, expression) for joint in range(len(JOINT_NAMES))]
    turns = [Rotation.from_rotvec(motion.turn_rad).as_quat() for motion in motions]
    animation.CreateJointsAttr(paths)
    animation.CreateTranslationsAttr(
        [
            Gf.Vec3f(*(M_PER_MM * (place + motion.shift_mm)).tolist())
            for place, motion in zip(local, motions, strict=True)
        ]
    )
    animation.CreateRotationsAttr([Gf.Quatf(float(w), float(x), float(y), float(z)) for x, y, z, w in turns])
    animation.CreateScalesAttr([Gf.Vec3h(1.0, 1.0, 1.0)] * len(paths))
    animation.CreateBlendShapesAttr(list(result.expression_names))
    animation.CreateBlendShapeWeightsAttr(result.expression.tolist())
    UsdSkel.BindingAPI.Apply(skeleton.GetPrim()).CreateAnimationSourceRel().SetTargets([animation.GetPath()])
    return skeleton


def _add_mesh(
    stage: Usd.Stage, part: MeshPart, skeleton: UsdSkel.Skeleton, expressions: tuple[str, ...]
) -> UsdGeom.Mesh:
    _, first, whole = np.unique(part.welded, return_index=True, return_inverse=True)
    mesh = UsdGeom.Mesh.Define(stage, f"{_HEAD}/{part.name}")
    mesh.CreatePointsAttr(_vectors(M_PER_MM * part.vertices_mm[first]))
    mesh.CreateFaceVertexCountsAttr([part.faces.shape[1]] * len(part.faces))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(whole[part.faces].astype(np.int32).ravel()))
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateDoubleSidedAttr(True)
    mesh.CreateNormalsAttr(_vectors(part.normals(part.vertices_mm)[first]))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    api = UsdGeom.PrimvarsAPI(mesh)
    corners = api.CreatePrimvar("st", Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.faceVarying)
    corners.Set(Vt.Vec2fArray.FromNumpy(np.ascontiguousarray(part.uv[part.faces.ravel()], np.float32)))
    binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    joints, shares = strongest(part.joint_weights[first])
    count = joints.shape[1]
    binding.CreateJointIndicesPrimvar(False, count).Set(Vt.IntArray.FromNumpy(joints.astype(np.int32).ravel()))
    binding.CreateJointWeightsPrimvar(False, count).Set(Vt.FloatArray.FromNumpy(np.ascontiguousarray(shares.ravel())))
    binding.CreateGeomBindTransformAttr(Gf.Matrix4d(1.0))
    binding.CreateSkeletonRel().SetTargets([skeleton.GetPath()])
    shapes = []
    for name, morph in zip(expressions, part.morphs_mm, strict=True):
        # What the GLB leaves out as still is still here, too.
        rows, offsets = moved_rows(M_PER_MM * morph), np.zeros_like(morph)
        kept = slice(None) if rows is None else rows
        offsets[kept] = M_PER_MM * morph[kept]
        offsets = offsets[first]
        moved = np.flatnonzero(offsets.any(1))
        shape = UsdSkel.BlendShape.Define(stage, mesh.GetPath().AppendChild(name))
        shape.CreateOffsetsAttr(_vectors(offsets[moved]))
        shape.CreatePointIndicesAttr(Vt.IntArray.FromNumpy(moved.astype(np.int32)))
        shapes.append(shape.GetPath())
    binding.CreateBlendShapesAttr(list(expressions))
    binding.CreateBlendShapeTargetsRel().SetTargets(shapes)
    return mesh


def _add_material(
    stage: Usd.Stage, mesh: UsdGeom.Mesh, name: str, picture: UInt8[np.ndarray, "height width channel"], folder: Path
) -> None:
    """A preview surface with one texture."""
    cut_out = picture.shape[2] == 4
    file = folder / f"{name}.{'png' if cut_out else 'jpg'}"
    file.write_bytes(encoded_png(picture) if cut_out else encoded_jpeg(picture, _QUALITY))
    place = f"{_ROOT}/Materials/{name}"
    material = UsdShade.Material.Define(stage, place)
    surface = UsdShade.Shader.Define(stage, f"{place}/surface")
    surface.CreateIdAttr("UsdPreviewSurface")
    surface.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(_ROUGHNESS)
    reader = UsdShade.Shader.Define(stage, f"{place}/st")
    reader.CreateIdAttr("UsdPrimvarReader_float2")
    reader.CreateInput("varname", Sdf.ValueTypeNames.String).Set("st")
    texture = UsdShade.Shader.Define(stage, f"{place}/texture")
    texture.CreateIdAttr("UsdUVTexture")
    texture.CreateInput("file", Sdf.ValueTypeNames.Asset).Set(f"./{file.name}")
    texture.CreateInput("sourceColorSpace", Sdf.ValueTypeNames.Token).Set("sRGB")
    texture.CreateInput("st", Sdf.ValueTypeNames.Float2).ConnectToSource(
        reader.CreateOutput("result", Sdf.ValueTypeNames.Float2)
    )
    surface.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f).ConnectToSource(
        texture.CreateOutput("rgb", Sdf.ValueTypeNames.Float3)
    )
    if cut_out:
        surface.CreateInput("opacity", Sdf.ValueTypeNames.Float).ConnectToSource(
            texture.CreateOutput("a", Sdf.ValueTypeNames.Float)
        )
        surface.CreateInput("opacityThreshold", Sdf.ValueTypeNames.Float).Set(COVER_CUTOFF)
    material.CreateSurfaceOutput().ConnectToSource(surface.CreateOutput("surface", Sdf.ValueTypeNames.Token))
    UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(material)


def _add_camera(stage: Usd.Stage, result: FaceResult, picture_px: tuple[int, int], pose: PoseKind) -> None:
    """The photograph's camera; USD's look along -z with y up, and know where the principal point is."""
    width_px, height_px = picture_px
    (focal_x, _, middle_x), (_, focal_y, middle_y), _ = result.intrinsics_px.tolist()
    camera = UsdGeom.Camera.Define(stage, f"{_ROOT}/Camera")
    camera.CreateFocalLengthAttr(_FOCAL)
    camera.CreateHorizontalApertureAttr(_FOCAL * width_px / focal_x)
    camera.CreateVerticalApertureAttr(_FOCAL * height_px / focal_y)
    camera.CreateHorizontalApertureOffsetAttr(_FOCAL * (0.5 * width_px - middle_x) / focal_x)
    camera.CreateVerticalApertureOffsetAttr(_FOCAL * (middle_y - 0.5 * height_px) / focal_y)
    camera.CreateClippingRangeAttr(Gf.Vec2f(0.01, 100.0))
    if pose == "front":
        back = result.rotation.T
        camera.AddTransformOp().Set(_matrix(back, -back @ result.translation_mm))


def _matrix(rotation: np.ndarray, translation_mm: np.ndarray) -> Gf.Matrix4d:
    # USD multiplies rows from the left.
    matrix = np.eye(4)
    matrix[:3, :3] = rotation.T
    matrix[3, :3] = M_PER_MM * translation_mm.astype(np.float64)
    return Gf.Matrix4d(matrix.tolist())


def _vectors(values: np.ndarray) -> Vt.Vec3fArray:
    return Vt.Vec3fArray.FromNumpy(np.ascontiguousarray(values, np.float32))

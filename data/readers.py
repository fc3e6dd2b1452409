"""Annotated photographs in tars: `photos-*.tar` beside `annotations.npz` and `landmarks68.npz`.

`blendshapes52.npz` may lie there too: MediaPipe's readings of ARKit's blendshapes.
Only this file knows that format. What it makes, `SourcePhotograph`, is the same for every kind of source.
"""

import re
import tarfile
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from common.places import Place, read_part
from data.blendshapes import BLENDSHAPE_NAMES, BLENDSHAPES, calibrated
from data.landmarks import yaw_from_landmarks

ANNOTATIONS, LANDMARKS, BLENDSHAPE_FILE = "annotations.npz", "landmarks68.npz", "blendshapes52.npz"

MESH_DISAGREEMENT_LIMIT = 0.06
"""Mean distance of mesh and hand-made points over the image's width above which the mesh is not used."""

BLENDSHAPES_FULL_YAW_DEGREES, BLENDSHAPES_NO_YAW_DEGREES = 20.0, 40.0
"""Blendshapes are read off the mesh, and sooner wrong than it: beyond 30 to 40 degrees of yaw they are worthless."""

MESH_FULL_YAW_DEGREES, MESH_NO_YAW_DEGREES = 35.0, 60.0
"""The mesh counts fully up to the first, not at all from the second: against the 68 points, it is at 2.8 % up to 40
degrees, at 3.9 % between 50 and 60, and at 8.4 % in profiles."""


@dataclass(frozen=True)
class Labels:
    """What is known of the face in a photograph, in its px.

    Attributes:
        landmarks68_px: iBUG's points, z towards the viewer with zero mean.
        landmarks478_px: MediaPipe's points, None where there is no mesh or it is not trusted.
        landmarks478_weight: Trust in them, in [0, 1].
        blendshapes: Weights of `data.blendshapes.BLENDSHAPE_NAMES` in [0, 1]; None where there are none.
        blendshapes_weight: Trust in them, in [0, 1].
    """

    landmarks68_px: Float32[np.ndarray, "68 3"]
    landmarks478_px: Float32[np.ndarray, "478 2"] | None
    landmarks478_weight: float
    blendshapes: Float32[np.ndarray, "52"] | None = None
    blendshapes_weight: float = 0.0


@dataclass(frozen=True)
class SourcePhotograph:
    """A photograph to be prepared, and where its bytes are.

    Attributes:
        name: Unique within the data set.
        source: The collection.
        group: What must not be divided between training and validation: a person, a series, or the photograph itself.
        person: Number of the person, -1 where unknown.
        path: The file that holds it.
        offset: Where it begins there.
        byte_count: Its length; None for the whole file.
        labels: Its labels; None asks for a detector.
        doubt: Why it should not be used; empty where nothing speaks against it.
    """

    name: str
    source: str
    group: str
    person: int
    path: Place
    offset: int = 0
    byte_count: int | None = None
    labels: Labels | None = None
    doubt: str = ""

    def read_bytes(self) -> bytes:
        """The encoded photograph.

        Raises:
            OSError: If it cannot be read.
        """
        return read_part(self.path, self.offset, self.byte_count)


def is_annotated(folder: Place) -> bool:
    """Whether a folder is in this format."""
    return (folder / ANNOTATIONS).is_file()


def read_annotated(folder: Place) -> list[SourcePhotograph]:
    """All photographs of a folder of tars, in the order of the annotations.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the files do not belong together.
    """
    for needed in (ANNOTATIONS, LANDMARKS):
        if not (folder / needed).is_file():
            raise FileNotFoundError(
                f"{folder / needed}: missing; annotated tars come with {ANNOTATIONS} and {LANDMARKS}"
            )
    with (folder / ANNOTATIONS).open("rb") as file, np.load(file, allow_pickle=False) as content:
        rows = {name: content[name] for name in content.files}
    with (folder / LANDMARKS).open("rb") as file, np.load(file, allow_pickle=False) as content:
        points = (content["points_eighth_px"].transpose(2, 0, 1) / 8.0).astype(np.float32)
        reliable = content["reliable"]
    if len(points) != len(rows["name"]):
        raise ValueError(f"{folder / LANDMARKS}: {len(points)} rows, but {ANNOTATIONS} has {len(rows['name'])}")
    mesh = _mesh_px(rows)
    mesh_weight = _mesh_weights(rows, points, MESH_FULL_YAW_DEGREES, MESH_NO_YAW_DEGREES)
    blendshapes = _blendshapes(folder, len(points))
    blendshapes_weight = _mesh_weights(rows, points, BLENDSHAPES_FULL_YAW_DEGREES, BLENDSHAPES_NO_YAW_DEGREES)
    places = _members(folder)
    # The annotations call it identity; here that word is kept for the shape.
    person_of_row = [str(person) for person in rows["identity"]]
    persons = {person: number for number, person in enumerate(sorted(set(person_of_row) - {""}))}
    photographs = []
    for row, name in enumerate(rows["name"].tolist()):
        person = person_of_row[row]
        path, offset, byte_count = places.get(name, (folder / "missing.tar", 0, 0))
        weight = float(mesh_weight[row])
        photographs.append(
            SourcePhotograph(
                name=name,
                source=str(rows["source"][row]),
                group=person or _series(name),
                person=persons.get(person, -1),
                path=path,
                offset=offset,
                byte_count=byte_count,
                labels=Labels(
                    points[row],
                    mesh[row] if weight > 0.0 else None,
                    weight,
                    blendshapes[row] if blendshapes is not None and blendshapes_weight[row] > 0.0 else None,
                    float(blendshapes_weight[row]),
                ),
                doubt=_doubt(name in places, bool(reliable[row])),
            )
        )
    return photographs


def _doubt(present: bool, reliable: bool) -> str:
    if not present:
        return "not in any of the tars"
    return "" if reliable else "its labels are marked as not reliable"


def _series(name: str) -> str:
    """Collections number the pictures of a person or a series behind an underscore: `misc/Name_12.jpg`."""
    return re.sub(r"_\d+$", "", name.rsplit(".", 1)[0])


def _mesh_px(rows: dict[str, np.ndarray]) -> Float32[np.ndarray, "photograph 478 2"]:
    residual = rows["mesh_residual"][:2].transpose(2, 1, 0).astype(np.float32) / 4.0
    mean = rows["mesh_mean"][None, :, :2] * rows["mesh_scale"][:, None, None]
    return (residual + mean + rows["mesh_center"][:, None, :2]).astype(np.float32)


def _blendshapes(folder: Place, count: int) -> Float32[np.ndarray, "photograph 52"] | None:
    """MediaPipe's readings, calibrated, in our order; None where the folder has none.

    Raises:
        ValueError: If the file does not fit the others.
    """
    path = folder / BLENDSHAPE_FILE
    if not path.is_file():
        return None
    with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
        names, stored = content["names"].tolist(), content["weights_255"]
    if len(stored) != count:
        raise ValueError(f"{path}: {len(stored)} rows, but {ANNOTATIONS} has {count}")
    # MediaPipe has no tongue; its first name is that of the neutral face.
    readings = np.zeros((count, BLENDSHAPES), np.float32)
    for column, name in enumerate(BLENDSHAPE_NAMES):
        if name in names:
            readings[:, column] = stored[:, names.index(name)] / np.float32(255.0)
    return calibrated(readings)


def _mesh_weights(
    rows: dict[str, np.ndarray],
    points_px: Float32[np.ndarray, "photograph 68 3"],
    full_yaw_degrees: float,
    no_yaw_degrees: float,
) -> Float32[np.ndarray, " photograph"]:
    """Trust in what was read off the mesh: full up to one yaw, none from another on."""
    yaw_degrees = np.abs(np.degrees([yaw_from_landmarks(face) for face in points_px]))
    faded = (no_yaw_degrees - yaw_degrees) / (no_yaw_degrees - full_yaw_degrees)
    # No hand-made points to compare with (NaN) is no doubt.
    doubtful: Bool[np.ndarray, " photograph"] = rows["mesh_disagreement"] > MESH_DISAGREEMENT_LIMIT
    return np.where(rows["has_mesh"] & ~doubtful, faded.clip(0.0, 1.0), 0.0).astype(np.float32)


def _members(folder: Place) -> dict[str, tuple[Place, int, int]]:
    """Where each member of the tars lies: file, offset, length. A tar that breaks off is read up to there."""
    places: dict[str, tuple[Place, int, int]] = {}
    for path in sorted(folder.glob("*.tar"), key=str):
        try:
            with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
                for member in archive:
                    if member.isfile():
                        places[member.name] = (path, member.offset_data, member.size)
        except tarfile.ReadError:
            # What it should have held is reported photograph by photograph.
            continue
    return places

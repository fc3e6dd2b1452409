"""The head's graph at several resolutions: what the mesh decoder convolves on.

Level 0 is the head's own mesh. Each further level keeps some vertices of the one before; every vertex of a level is
a weighted mean of three vertices of the next coarser one (Ranjan et al., "Generating 3D faces using convolutional
mesh autoencoders", ECCV 2018, there by barycentrics). `tools/build_hierarchy.py` makes the file, once for each head.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int

from common.paths import tool_command
from common.tensors import read_tensors, save_tensors

HIERARCHY_FORMAT = "likeness-hierarchy-1"
PARENTS = 3
"""Coarse vertices that a fine one is a mean of."""


@dataclass(frozen=True)
class HierarchyLevel:
    """A coarser graph of N vertices, below one of M.

    Attributes:
        vertices: Which vertices of the finer level were kept.
        edges: Neighbours, each pair once.
        parents: For each vertex of the finer level three of this one.
        weights: Their weights; each row sums to 1.
    """

    vertices: Int[np.ndarray, " coarse"]
    edges: Int[np.ndarray, "edge 2"]
    parents: Int[np.ndarray, "fine 3"]
    weights: Float32[np.ndarray, "fine 3"]


@dataclass(frozen=True)
class MeshHierarchy:
    """Levels from fine to coarse, above the mesh of V vertices.

    Attributes:
        vertex_count: V of the head it was built for.
        head_sha256: Of that head's file.
        levels: The coarser graphs.
    """

    vertex_count: int
    head_sha256: str
    levels: tuple[HierarchyLevel, ...]

    def __post_init__(self) -> None:
        """Check that each level fits the one before.

        Raises:
            ValueError: Naming the level and what is wrong with it.
        """
        fine = self.vertex_count
        for number, level in enumerate(self.levels, 1):
            coarse = len(level.vertices)
            for name, indices, count in (
                ("vertices", level.vertices, fine),
                ("edges", level.edges, coarse),
                ("parents", level.parents, coarse),
            ):
                if indices.size and (indices.min() < 0 or indices.max() >= count):
                    raise ValueError(f"level {number}: {name} points outside 0..{count - 1}")
            if level.parents.shape != (fine, PARENTS) or level.weights.shape != (fine, PARENTS):
                raise ValueError(f"level {number}: parents and weights must be ({fine}, {PARENTS})")
            if not np.allclose(level.weights.sum(1), 1.0, atol=1e-4):
                raise ValueError(f"level {number}: the weights of a vertex must sum to 1")
            fine = coarse


def save_hierarchy(hierarchy: MeshHierarchy, path: Path) -> None:
    """Write a hierarchy file, atomically."""
    tensors: dict[str, np.ndarray] = {}
    for number, level in enumerate(hierarchy.levels, 1):
        for name in ("vertices", "edges", "parents"):
            tensors[f"level{number}.{name}"] = np.ascontiguousarray(getattr(level, name), np.int32)
        tensors[f"level{number}.weights"] = np.ascontiguousarray(level.weights, np.float32)
    metadata = {
        "format": HIERARCHY_FORMAT,
        "vertex_count": json.dumps(hierarchy.vertex_count),
        "levels": json.dumps(len(hierarchy.levels)),
        "head_sha256": hierarchy.head_sha256,
    }
    save_tensors(tensors, path, metadata)


def load_hierarchy(path: Path) -> MeshHierarchy:
    """Read and validate a hierarchy file.

    Raises:
        FileNotFoundError: If the file is missing.
        ValueError: If it is not such a file; the message names it.
    """
    missing = f"no such hierarchy; make it with {tool_command('build_hierarchy')}"
    tensors, metadata = read_tensors(path, HIERARCHY_FORMAT, framework="numpy", missing=missing)
    try:
        levels = tuple(
            HierarchyLevel(*(tensors[f"level{n}.{name}"] for name in ("vertices", "edges", "parents", "weights")))
            for n in range(1, 1 + int(metadata["levels"]))
        )
        return MeshHierarchy(int(metadata["vertex_count"]), metadata["head_sha256"], levels)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path}: not a valid hierarchy: {error}") from error

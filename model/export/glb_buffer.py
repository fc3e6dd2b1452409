"""The binary part of a GLB."""

import numpy as np
import pygltflib as gltf
from jaxtyping import UInt8

from model.export.picture_files import encoded_jpeg, encoded_png

_COMPONENTS = {np.float32: gltf.FLOAT, np.uint32: gltf.UNSIGNED_INT, np.uint8: gltf.UNSIGNED_BYTE}
_STILL_M = 1e-5
"""A vertex that an expression moves by less does not count as moved."""


def moved_rows(displacements: np.ndarray, still: float = _STILL_M) -> np.ndarray | None:
    """Rows that move by more than `still`, one at least; None where leaving out the rest would save nothing.

    Most expressions move a small part of the head.
    """
    moved = np.flatnonzero(np.abs(displacements).max(1) > still)
    # glTF wants at least one entry.
    rows = moved if len(moved) else np.array([0])
    # A sparse row has its index besides: 16 bytes instead of 12.
    return None if 4 * len(rows) >= 3 * len(displacements) else rows


class GlbBuffer:
    """The binary part of a GLB and the accessors into it."""

    def __init__(self, document: gltf.GLTF2, data: bytes = b"") -> None:
        """Begin the binary part of a document, or go on with what it has."""
        self._document = document
        self._zeros: dict[int, int] = {}
        self.data = bytearray(data)

    def view(self, content: bytes, target: int | None = None) -> int:
        """Append bytes, aligned to four; returns the buffer view."""
        self.data.extend(b"\0" * (-len(self.data) % 4))
        view = gltf.BufferView(buffer=0, byteOffset=len(self.data), byteLength=len(content), target=target)
        self.data.extend(content)
        self._document.bufferViews.append(view)
        return len(self._document.bufferViews) - 1

    def accessor(self, values: np.ndarray, kind: str, target: int | None) -> int:
        """Append an array of float32, uint32 or uint8; returns the accessor."""
        component = _COMPONENTS[values.dtype.type]
        accessor = gltf.Accessor(
            bufferView=self.view(np.ascontiguousarray(values).tobytes(), target),
            componentType=component,
            count=len(values),
            type=kind,
        )
        if kind == gltf.VEC3:
            accessor.min, accessor.max = values.min(0).tolist(), values.max(0).tolist()
        self._document.accessors.append(accessor)
        return len(self._document.accessors) - 1

    def sparse_accessor(self, displacements: np.ndarray, still: float = _STILL_M) -> int:
        """Append only the rows that move by more than `still`, or all of them; returns the accessor."""
        rows = moved_rows(displacements, still)
        if rows is None:
            return self.accessor(displacements.astype(np.float32), gltf.VEC3, gltf.ARRAY_BUFFER)
        values = displacements[rows].astype(np.float32)
        resting = len(rows) < len(displacements)
        bounds = np.concatenate([values, np.zeros((int(resting), 3), np.float32)])
        self._document.accessors.append(
            gltf.Accessor(
                # The specification would take zeros for granted without a view. Importers stumble over an accessor that
                # has none (UnityGLTF, older Assimp and tinygltf); those that know nothing of sparse rows load a still
                # face from this one.
                bufferView=self._zeros_view(len(displacements)),
                byteOffset=0,
                componentType=gltf.FLOAT,
                count=len(displacements),
                type=gltf.VEC3,
                min=bounds.min(0).tolist(),
                max=bounds.max(0).tolist(),
                sparse=gltf.Sparse(
                    count=len(rows),
                    indices=gltf.AccessorSparseIndices(
                        bufferView=self.view(rows.astype(np.uint32).tobytes()), componentType=gltf.UNSIGNED_INT
                    ),
                    values=gltf.AccessorSparseValues(bufferView=self.view(values.tobytes())),
                ),
            )
        )
        return len(self._document.accessors) - 1

    def _zeros_view(self, count: int) -> int:
        """The view of so many zero vectors, one for all sparse accessors of that length."""
        if count not in self._zeros:
            self._zeros[count] = self.view(bytes(12 * count), gltf.ARRAY_BUFFER)
            # Required of a view of vertices that several accessors share.
            self._document.bufferViews[self._zeros[count]].byteStride = 12
        return self._zeros[count]

    def texture(self, encoded: bytes, mime_type: str) -> int:
        """Append a picture file; returns the texture."""
        document = self._document
        document.images.append(gltf.Image(bufferView=self.view(encoded), mimeType=mime_type))
        if not document.samplers:
            document.samplers.append(gltf.Sampler(magFilter=gltf.LINEAR, minFilter=gltf.LINEAR_MIPMAP_LINEAR))
        document.textures.append(gltf.Texture(source=len(document.images) - 1, sampler=0))
        return len(document.textures) - 1

    def exact_texture(self, values: UInt8[np.ndarray, "size size channel"]) -> int:
        """Append a picture without loss; returns the texture."""
        return self.texture(encoded_png(values), "image/png")

    def photographic_texture(self, values: UInt8[np.ndarray, "size size 3"], quality: int) -> int:
        """Append a picture as a JPEG, a tenth as large; returns the texture."""
        return self.texture(encoded_jpeg(values, quality), "image/jpeg")

"""The binary part of a GLB."""

import json
import struct

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
    # Not the largest of each row: numpy reduces short rows an order of magnitude more slowly.
    far = np.abs(displacements) > still
    moved = np.flatnonzero(far[:, 0] | far[:, 1] | far[:, 2])
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
        self._still: dict[int, int] = {}
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
        if not (np.abs(displacements) > still).any():
            return self._still_accessor(displacements)
        rows = moved_rows(displacements, still)
        if rows is None:
            return self.accessor(displacements.astype(np.float32), gltf.VEC3, gltf.ARRAY_BUFFER)
        return self._sparse(displacements, rows)

    def _still_accessor(self, displacements: np.ndarray) -> int:
        """The accessor of an expression that leaves a part alone: one for all of them."""
        count = len(displacements)
        if count not in self._still:
            # glTF wants at least one entry.
            self._still[count] = self._sparse(np.zeros_like(displacements), np.array([0]))
        return self._still[count]

    def _sparse(self, displacements: np.ndarray, rows: np.ndarray) -> int:
        """Append these rows; all others are zero."""
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


def glb_bytes(document: gltf.GLTF2) -> bytes:
    """A document with its binary part as a GLB file.

    pygltflib's own writer copies every number twice on its way to JSON: for the thousand accessors of a head's
    expressions that takes ten times as long as the JSON itself.
    """
    header = json.dumps(_plain(document), separators=(",", ":"), allow_nan=False).encode()
    header += b" " * (-len(header) % 4)
    binary = bytes(document.binary_blob() or b"")
    binary += b"\0" * (-len(binary) % 4)
    chunks = [(header, b"JSON"), (binary, b"BIN\0")]
    total = 12 + sum(8 + len(content) for content, _ in chunks)
    parts = [struct.pack("<4sII", b"glTF", 2, total)]
    for content, kind in chunks:
        parts += [struct.pack("<I4s", len(content), kind), content]
    return b"".join(parts)


def _plain(value: object) -> object:
    """What JSON holds of pygltflib's objects: all that was set."""
    if isinstance(value, str | int | float) or value is None:
        return value
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        # An extension may say all by being there.
        return {name: _plain(one) for name, one in value.items()}
    fields = {name: _plain(one) for name, one in vars(value).items() if not name.startswith("_")}
    return {name: one for name, one in fields.items() if one is not None and one != {} and one != []}

"""The source's parts under our names."""

import numpy as np
from jaxtyping import Bool

from model.face.assets import HeadAssets
from tools.head.atlas_layout import texture_charts

_TONGUE_HALF_WIDTH_MM, _TONGUE_BELOW_MM = 21.0, -70.0


def source_parts(source: HeadAssets) -> dict[str, Bool[np.ndarray, " source"]]:
    """Vertex masks: `face`, `head`, `mouth_socket`, `eye_sockets`, `gums`, `tongue`, `teeth`, `eyes`."""
    regions = source.regions
    tongue = _tongue(source)
    return {
        "face": regions["face"],
        "head": regions["head"],
        "mouth_socket": regions["mouth_socket"],
        "eye_sockets": regions["eye_sockets"],
        "gums": regions["gums"] & ~tongue,
        "tongue": tongue,
        "teeth": regions["teeth"],
        "eyes": regions["left_eye_outer"] | regions["right_eye_outer"],
    }


def _tongue(source: HeadAssets) -> Bool[np.ndarray, " source"]:
    """The source's gums and tongue are one part; the tongue's charts are the narrow ones low in the mouth."""
    tongue = np.zeros(len(source.vertices_mm), bool)
    for triangles in texture_charts(source.uv_faces, len(source.uv)):
        rows = np.unique(source.faces[triangles])
        across, height = np.abs(source.vertices_mm[rows, 0]), source.vertices_mm[rows, 1]
        if source.regions["gums"][rows].all() and across.max() < _TONGUE_HALF_WIDTH_MM:
            tongue[rows] |= height.mean() < _TONGUE_BELOW_MM
    return tongue | tongue[source.mirror]

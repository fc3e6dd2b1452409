"""The statistical fit by rasterization: stage 1 of a refinement."""

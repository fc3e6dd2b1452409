"""Rotations, the camera and meshes: the conventions of `docs/conventions.md` in code."""

"""Sides that textures may have, which both the command line and the maker of textures know."""

TEXTURE_SIDES = (1024, 2048, 4096)
"""px, ascending."""

"""Whether compiled kernels are kept on disk."""

from common.paths import REPOSITORY

CACHED = not (__name__.startswith("likeness.") and (REPOSITORY / "hubconf.py").is_file())
"""False where torch.hub has loaded a clone under the one name `likeness`. Numba keeps compiled code beside its source,
and in it the name of its module: the clone's own programs, to which it is `model`, could not load that any more."""

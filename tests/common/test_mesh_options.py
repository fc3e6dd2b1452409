"""Options of meshes are refused by name where they cannot be meant."""

from collections.abc import Iterator

import jaxtyping
import pytest

from common.mesh_options import UNITS_PER_MM, MeshOptions


@pytest.fixture
def _as_users_run_it() -> Iterator[None]:
    """Without the tests' own check of types."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.usefixtures("_as_users_run_it")
@pytest.mark.parametrize(
    ("options", "words"),
    [({"units": "inch"}, "mm or cm or m"), ({"rig": "muscles"}, "shapes or bones"), ({"pose": "back"}, "front or")],
)
def test_what_is_not_known_is_refused(options: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MeshOptions(**options)  # pyright: ignore[reportArgumentType]


def test_ten_millimetres_are_a_centimetre() -> None:
    assert [round(10.0 * UNITS_PER_MM[unit], 9) for unit in ("mm", "cm", "m")] == [10.0, 1.0, 0.01]

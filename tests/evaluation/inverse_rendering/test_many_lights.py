import numpy as np
import pytest

from evaluation.inverse_rendering.many_lights import Photograph, SkinUnderLights, format_skins, skins_under_lights
from evaluation.inverse_rendering.truth import TEXEL_GRID
from model.face.morphable_model import MorphableModel
from model.refine.face import FittedFace
from tests.small_world import toy_head, toy_hierarchy


@pytest.mark.slow
def test_what_follows_the_light_spreads_and_what_does_not_is_only_wrong() -> None:
    shown: list[Photograph] = []

    def ask(photograph: Photograph, head: FittedFace) -> dict[str, np.ndarray]:
        shown.append(photograph)
        level = float((photograph / 255.0).mean()) * (1.0 + len(shown))
        even = np.ones((TEXEL_GRID, TEXEL_GRID, 3), np.float32)
        return {"brightness": level * even, "constant": 0.1 * even}

    model = MorphableModel(toy_head())
    results = {result.name: result for result in skins_under_lights(model, toy_hierarchy(), ask, heads=1, lights=2)}
    assert len(shown) == 2
    assert results["constant"].spread == pytest.approx(0.0, abs=1e-9)
    assert results["constant"].error > 0.0
    assert results["brightness"].spread > 0.05
    assert results["brightness"].spread_scaled == pytest.approx(0.0, abs=1e-9)
    # The same head in two lights: the photographs differ, and by more than noise.
    assert np.abs(shown[0].astype(float) - shown[1]).mean() > 2.0


def test_the_table_has_a_mean_of_every_way() -> None:
    from evaluation.inverse_rendering.faces import PLANS

    results = [SkinUnderLights(plan, "way", 20, 0.2, 0.1, 0.3, 0.2) for plan in PLANS[:2]]
    lines = format_skins(results).splitlines()
    assert len(lines) == 4
    assert lines[-1].split()[:3] == ["way", "mean", "40"]

import pytest

from tests.small_world import toy_decoding_reconstructor, toy_reconstructor
from tools.bench_decoder import meshes_per_second


def test_the_lookup_takes_time_of_its_own() -> None:
    alone, together = meshes_per_second(toy_decoding_reconstructor(), 2, "cpu")
    assert alone > together > 0


def test_a_model_without_decoder_is_refused() -> None:
    with pytest.raises(ValueError, match="no mesh decoder"):
        meshes_per_second(toy_reconstructor(), 1, "cpu")

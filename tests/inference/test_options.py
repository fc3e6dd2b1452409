"""What the options of a run refuse before anything is loaded."""

from pathlib import Path

import pytest

from inference.options import ALL_FORMATS, DEFAULT_FORMATS, InferenceOptions


def test_usd_is_written_when_it_is_named_and_its_package_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(ALL_FORMATS) - set(DEFAULT_FORMATS) == {"usd", "splats", "volume"}
    monkeypatch.setattr("inference.options.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install usd-core"):
        InferenceOptions(images=[Path("photo.jpg")], formats=("glb", "usd"))
    assert InferenceOptions(images=[Path("photo.jpg")]).formats == DEFAULT_FORMATS


def test_a_volume_names_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.options.find_spec", lambda name: None if name == "igl" else object())
    with pytest.raises(ValueError, match="pip install libigl "):
        InferenceOptions(images=[Path("photo.jpg")], formats=("volume",))

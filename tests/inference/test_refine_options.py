"""The refinement's settings are read strictly; the configs say what they are for."""

from pathlib import Path

import pytest

from common.paths import CONFIG_FOLDER
from inference.refine_options import RefineOptions, read_refine_options

CONFIGS = sorted(CONFIG_FOLDER.glob("refine*.yaml"))


def read(tmp_path: Path, text: str) -> RefineOptions:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return read_refine_options(path)


def test_what_a_file_leaves_out_has_its_default(tmp_path: Path) -> None:
    assert read(tmp_path, "") == RefineOptions()
    options = read(tmp_path, "window_px: 96\nraytrace:\n  light: {kind: stage, lamps: 24}\nlandmarks: {noise: 0.03}\n")
    assert (options.window_px, options.raytrace.light.kind, options.raytrace.light.lamps) == (96, "stage", 24)
    assert options.landmarks.noise == 0.03
    assert options.raytrace.texture_px == RefineOptions().raytrace.texture_px
    assert options.raster == RefineOptions().raster


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("windw_px: 96", "windw_px"),
        ("raytrace: {ligt: {}}", "raytrace.ligt"),
        ("shape: {steps: 60}", "shape was a setting of --refine-shape, an experiment that was removed"),
        ("raytrace: {light: {kinds: stage}}", "raytrace.light.kinds"),
        ("raytrace: {light: 3}", "raytrace.light"),
        ("raytrace: {light: {kind: moon}}", "moon"),
        ("raytrace: {light: {lamps: 3}}", "lamps"),
        ("window_px: wide", "window_px"),
        ("window_px: 8", "window_px"),
        ("cache_gb: -1", "cache_gb"),
        ("landmarks: {noise: -1}", "landmarks.noise"),
        ("pictures: {relit_px: 0}", "pictures.relit_px"),
        ("- 1", "list"),
        ("a: [", "YAML"),
    ],
)
def test_what_is_wrong_is_said_in_a_line_with_the_files_name(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"mine\.yaml: ") as refusal:
        read(tmp_path, text)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_is_strict_and_says_what_it_is_for(path: Path) -> None:
    options = read_refine_options(path)
    head = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    for word in ("Purpose:", "Command:", "Cost:", "Result:"):
        assert any(line.startswith(f"# {word}") for line in head), f"{path.name} does not open with its {word}"
    assert path.stem == "refine" or f"configs/{path.name}" in "\n".join(head)
    assert options.window_px >= 128


def test_there_are_a_fast_a_default_and_a_careful_config() -> None:
    assert [path.stem for path in CONFIGS] == ["refine", "refine_fast", "refine_hq"]
    default, fast, careful = (read_refine_options(path) for path in CONFIGS)
    assert fast.window_px < default.window_px == 256 < careful.window_px
    assert fast.raytrace.texture_px <= default.raytrace.texture_px < careful.raytrace.texture_px == 1024

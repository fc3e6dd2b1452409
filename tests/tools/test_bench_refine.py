"""The benchmark of refinements: the same mask for all answers, stages timed one by one, a row for each face."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("embreex", reason="rays need the optional package embreex")

from model.look.appearance import Appearance
from model.refine.face import FaceCrop, FittedFace, StageRecord
from model.refine.refined import Raytraced, RefinedFace, StageAnswer
from model.render.color import srgb_to_linear
from tests.small_world import crop_camera, neutral_parameters, toy_reconstructor
from tools import bench_refine
from tools.bench_refine import Bench, Measured, StageClock, print_summary
from tools.refinement_psnr import crop_psnr_db, psnr_figures

SIZE = 48
MODEL = toy_reconstructor().morphable_model
PARAMETERS = neutral_parameters(MODEL)
START = FittedFace(PARAMETERS, None, crop_camera(1, SIZE)[0])
BRIGHTER = replace(START, parameters=replace(PARAMETERS, lighting=1.3 * PARAMETERS.lighting))


def crop(image_srgb: torch.Tensor, *, color: bool = True) -> FaceCrop:
    return FaceCrop(
        image_srgb=image_srgb.permute(2, 0, 1).contiguous(),
        inside=torch.ones(SIZE, SIZE),
        color=color,
        intrinsics_px=crop_camera(1, SIZE)[0],
        landmarks68_px=torch.zeros(68, 2),
        landmarks68_weight=torch.ones(68),
    )


def raytraced(rendered: torch.Tensor, mask: torch.Tensor) -> Raytraced:
    flat = np.full((16, 16), 0.04, np.float32)
    normal = np.tile(np.array([0.0, 0.0, 1.0], np.float32), (16, 16, 1))
    skin = np.full((16, 16, 3), 0.4, np.float32)
    sky = np.ones((4, 8, 3), np.float32)
    appearance = Appearance(skin, flat, flat + 0.4, normal, flat, sky, (), 0.2)
    return Raytraced(appearance, rendered, mask, 0.5 * rendered)


def refined(photograph: torch.Tensor, answer: Raytraced | None) -> RefinedFace:
    record = StageRecord("raytrace", answer is not None, "worse", 1.0, {"trace_seconds": 0.25})
    return RefinedFace(crop(photograph), START, BRIGHTER, (record,), answer)


def test_all_answers_are_compared_where_the_last_one_was():
    photograph = torch.full((SIZE, SIZE, 3), 0.5)
    mask = torch.zeros(SIZE, SIZE)
    mask[22:26, 22:26] = 1.0
    rendered = srgb_to_linear(torch.full((SIZE, SIZE, 3), 0.6))
    answers = {"raster": StageAnswer(BRIGHTER)}
    of = psnr_figures(refined(photograph, raytraced(rendered, mask)), answers, MODEL)
    assert of["raytrace"] == pytest.approx(20.0, abs=0.01)
    assert set(of) == {f"{name}{of}" for name in ("network", "raster", "raytrace") for of in ("", " skin")}
    # What is outside the mask is as good as not there.
    elsewhere = torch.where(mask[..., None] > 0.0, photograph, torch.zeros(3))
    changed = psnr_figures(refined(elsewhere, raytraced(rendered, mask)), answers, MODEL)
    for name in ("network", "raster", "raytrace"):
        assert changed[name] == pytest.approx(of[name], abs=1e-4)
        assert abs(changed[f"{name} skin"] - of[f"{name} skin"]) > 0.5


def test_an_answer_that_was_not_kept_has_no_figure():
    of = psnr_figures(refined(torch.full((SIZE, SIZE, 3), 0.5), None), {"raster": StageAnswer(BRIGHTER)}, MODEL)
    assert set(of) == {"network skin", "raster skin"}
    assert of["network skin"] != of["raster skin"]


def test_black_and_white_is_compared_in_luminance():
    grey, red = torch.full((SIZE, SIZE, 3), 0.5), srgb_to_linear(torch.tensor([0.9, 0.3, 0.3]).expand(SIZE, SIZE, 3))
    luminance = srgb_to_linear(torch.tensor(0.5)) / (red @ torch.tensor([0.2126, 0.7152, 0.0722])).mean()
    weight = torch.ones(SIZE, SIZE)
    assert crop_psnr_db(luminance * red, crop(grey, color=False), weight) > 40.0
    assert crop_psnr_db(luminance * red, crop(grey), weight) < 20.0


def test_the_clock_notes_stages_that_raise():
    clock = StageClock()

    def fails(crop: FaceCrop, start: FittedFace | None) -> tuple[StageAnswer, StageRecord]:
        raise ValueError("no light")

    with pytest.raises(ValueError, match="no light"):
        clock.around("raytrace", fails)(crop(torch.zeros(SIZE, SIZE, 3)), START)
    assert set(clock.seconds) == set(clock.cpu_seconds) == {"raytrace"}
    assert not clock.answers


class _Bench(Bench):
    def __init__(self) -> None:
        self.model = MODEL

    def measure(self, path: Path) -> Measured | str:
        if path.stem == "nobody":
            return "no face was found"
        photograph = torch.full((SIZE, SIZE, 3), 0.5)
        kept = path.stem == "kept"
        answer = raytraced(srgb_to_linear(photograph), torch.ones(SIZE, SIZE)) if kept else None
        figures = {"network": 20.0, "raster": 22.0, "raytrace": 26.0} if kept else {"network skin": 18.0}
        fate = "accepted" if kept else "PSNR 20.0 dB is no better"
        return Measured(path.stem, refined(photograph, answer), figures, fate)


@pytest.mark.slow
def test_a_line_and_a_row_for_each_face(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    paths = [Path(name) for name in ("kept.jpg", "nobody.jpg", "refused.jpg")]
    bench_refine.run(_Bench(), paths, tmp_path / "sheet.png")
    printed = capsys.readouterr().out.splitlines()
    assert any(line.startswith("kept") and line.endswith("accepted") for line in printed)
    assert any(line.startswith("nobody") and line.endswith("no face was found") for line in printed)
    assert any(line.startswith("refused") and line.endswith("is no better") for line in printed)
    assert any("gain over network: +6.00 dB" in line and "1 faces" in line for line in printed)
    assert "1 of 2 accepted" in printed
    sheet = Image.open(tmp_path / "sheet.png")
    # Six pictures and seven relit ones; titles above them.
    assert sheet.width == 13 * SIZE
    assert 2 * SIZE < sheet.height < 4 * SIZE


def test_means_are_over_those_that_have_the_figure(capsys: pytest.CaptureFixture[str]):
    print_summary([{"network": 20.0}, {"network": 22.0, "raytrace": 25.0}, {"network": float("nan")}], accepted=1)
    mean, gain, *_ = capsys.readouterr().out.splitlines()
    assert mean.split()[1] == "21.00"
    assert mean.split()[3] == "25.00"
    assert "+3.00 dB" in gain


def test_a_missing_folder_is_named(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        bench_refine.main(["--photographs", "nowhere"])
    assert "nowhere: no such file or folder" in capsys.readouterr().err

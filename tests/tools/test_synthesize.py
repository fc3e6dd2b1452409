from pathlib import Path

import cv2
import numpy as np

from model.face.assets import save_head
from tests.small_world import ARKIT_NAMES, toy_head
from tools.synthesize import synthesize


def test_it_writes_pictures_labels_truth_and_a_sheet(tmp_path: Path) -> None:
    save_head(toy_head(), tmp_path / "head.safetensors")
    synthesize(tmp_path / "out", count=3, head=tmp_path / "head.safetensors", size=32, seed=5)
    names = sorted(path.stem for path in (tmp_path / "out").glob("*.png"))
    assert names == [f"synthetic-5-{index:08d}" for index in range(3)]
    for name in names:
        assert cv2.imread(str(tmp_path / "out" / f"{name}.png")).shape == (32, 32, 3)
        with np.load(tmp_path / "out" / f"{name}.npz", allow_pickle=False) as labels:
            assert labels["landmarks68_px"].shape == (68, 3)
            assert labels["truth.expression"].shape == (len(ARKIT_NAMES),)
            assert labels["truth.lamp_direction"].shape == labels["truth.lamp_strength"].shape
    assert cv2.imread(str(tmp_path / "out" / "sheet.jpg")) is not None

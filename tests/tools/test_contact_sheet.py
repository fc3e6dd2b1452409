from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tools.contact_sheet import ROW_WIDTH_PX, contact_sheet


def overlay(folder: Path, color: tuple[int, int, int]) -> None:
    folder.mkdir(parents=True)
    Image.new("RGB", (1500, 300), color).save(folder / "overlay.jpg")


def test_faces_run_down_the_columns_in_order_of_their_paths(tmp_path: Path) -> None:
    colors = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    for index, color in enumerate(colors):
        overlay(tmp_path / f"photo{index}.jpg" / "face0", color)
    sheet = np.asarray(contact_sheet(tmp_path, 32, 2))
    assert sheet.shape == (360, 2 * ROW_WIDTH_PX, 3)
    for place, color in zip([(90, 100), (270, 100), (90, ROW_WIDTH_PX + 100)], colors, strict=True):
        assert np.abs(sheet[place].astype(int) - color).max() < 10
    assert contact_sheet(tmp_path, 1, 1).size == (ROW_WIDTH_PX, 180)


def test_an_empty_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=tmp_path.name):
        contact_sheet(tmp_path, 4, 2)

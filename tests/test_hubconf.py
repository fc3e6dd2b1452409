"""Loading by torch.hub, above all from folders where `model` and `data` are the user's."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

import hubconf
import likeness
from likeness.one_name import claim
from tests.own_names import USERS_OWN, own_folder, run_in
from tests.small_checkpoint import any_checkpoint, toy_checkpoint
from tests.small_world import IMAGE_SIZE, crop_camera

REPOSITORY = Path(__file__).resolve().parent.parent


def test_torch_hub_loads_a_reconstructor(tmp_path: Path) -> None:
    checkpoint = str(toy_checkpoint(tmp_path))
    model = torch.hub.load(str(REPOSITORY), "likeness_s", source="local", checkpoint=checkpoint)
    with torch.no_grad():
        answer = model(torch.rand(1, 3, IMAGE_SIZE, IMAGE_SIZE), crop_camera(1))
    assert answer.landmarks68_image.shape == (1, 68, 3)


def test_it_offers_the_network_and_the_whole_and_nothing_else() -> None:
    # By the rule of torch.hub.list, which asks GitHub only.
    offered = [name for name in dir(hubconf) if callable(getattr(hubconf, name)) and not name.startswith("_")]
    assert offered == ["likeness", "likeness_s"]


@pytest.mark.slow
def test_it_works_beside_modules_of_the_same_names_and_leaves_them_to_the_user(tmp_path: Path) -> None:
    folder = own_folder(tmp_path / "own")
    checkpoint = any_checkpoint(tmp_path)
    Image.fromarray(skimage.data.astronaut()).save(folder / "a.png")
    script = f"""
import numpy, torch
network = torch.hub.load({str(REPOSITORY)!r}, "likeness_s", source="local", checkpoint={str(checkpoint)!r})
{USERS_OWN}
whole = torch.hub.load({str(REPOSITORY)!r}, "likeness", source="local", checkpoint={str(checkpoint)!r}, device="cpu")
(head,) = whole.reconstruct("a.png")
numpy.save("vertices.npy", head.result.vertices_camera_mm)
from likeness.data.alignment import window_from_detection
from likeness.data.detector import FaceDetector
from likeness.model.reconstructor import Reconstructor
assert isinstance(network, Reconstructor) and isinstance(whole.detector, FaceDetector)
assert window_from_detection(head.detection).side_px > 50.0
"""
    (folder / "script.py").write_text(script)
    done = run_in(folder, sys.executable, "script.py")
    assert done.returncode == 0, done.stderr
    (here,) = likeness.Likeness.load(checkpoint, "cpu").reconstruct(folder / "a.png")
    np.testing.assert_array_equal(np.load(folder / "vertices.npy"), here.result.vertices_camera_mm)


@pytest.mark.slow
def test_scripts_of_the_first_release_find_what_they_import_where_nobody_else_has_the_name(tmp_path: Path) -> None:
    script = f"""
import sys, torch
torch.hub.load({str(REPOSITORY)!r}, "likeness_s", source="local", checkpoint={str(toy_checkpoint(tmp_path))!r})
assert not [name for name in sys.modules if name.split(".")[0] in ("model", "data", "common")]
from data.alignment import CropWindow
import model.geometry.camera
import likeness.data.alignment, likeness.model
assert CropWindow is likeness.data.alignment.CropWindow and model is likeness.model
assert likeness.data.alignment.__spec__.name == "likeness.data.alignment"
assert model.geometry.camera is likeness.model.geometry.camera
"""
    done = run_in(tmp_path, sys.executable, "-c", script)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_what_it_compiles_is_not_left_where_the_clone_would_load_it(tmp_path: Path) -> None:
    script = f"""
import sys, torch
torch.hub.load({str(REPOSITORY)!r}, "likeness_s", source="local", checkpoint={str(toy_checkpoint(tmp_path))!r})
from likeness.model.render.backends import build_rasterizer
corners = torch.tensor([[[1.0, 1.0, 5.0], [9.0, 1.0, 5.0], [1.0, 9.0, 5.0]]])
fragments = build_rasterizer("cpu").rasterize(corners, torch.tensor([[0, 1, 2]], dtype=torch.int32), 10, 10)
assert (fragments.face_index >= 0).any()
"""
    done = run_in(tmp_path, sys.executable, "-c", script)
    assert done.returncode == 0, done.stderr
    kept = (REPOSITORY / "model" / "render" / "cpu" / "__pycache__").glob("*.nb*")
    assert not [path.name for path in kept if b"likeness.model" in path.read_bytes()]


def test_asking_torch_hub_twice_leaves_the_users_own_modules_to_him(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("class Net: pass\n")
    # torch.hub reads hubconf.py anew each time it is asked.
    script = f"""
import importlib.util, sys
for _ in range(2):
    spec = importlib.util.spec_from_file_location("hubconf", {str(REPOSITORY / "hubconf.py")!r})
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
import model
assert hasattr(model, "Net")
assert importlib.util.find_spec("nobody_has_this") is None
assert sum(hasattr(finder, "claimed_repository") for finder in sys.meta_path) == 1
"""
    done = run_in(tmp_path, sys.executable, "-c", script)
    assert done.returncode == 0, done.stderr


def test_a_likeness_that_is_loaded_already_is_used_if_it_is_the_same_version(monkeypatch: pytest.MonkeyPatch) -> None:
    finders = list(sys.meta_path)
    claim(REPOSITORY)
    assert sys.meta_path == finders
    monkeypatch.setitem(sys.modules, "likeness", SimpleNamespace(__version__="0.0.1", __file__="elsewhere"))  # pyright: ignore
    with pytest.raises(ImportError, match=r"Likeness 0\.0\.1 is loaded already, from elsewhere"):
        claim(REPOSITORY)
    # A module of the user's own that is called likeness.
    monkeypatch.setitem(sys.modules, "likeness", SimpleNamespace())  # pyright: ignore
    with pytest.raises(ImportError, match="is loaded already"):
        claim(REPOSITORY)

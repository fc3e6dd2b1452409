"""`likeness head`: published models and results of other heads, at the command line."""

import re
from pathlib import Path

import numpy as np
import pytest

from inference.head_command import main
from model.face.assets import load_head, save_head
from tests.model.face.layouts import truth, write_flame, write_flame_landmarks, write_surrey
from tests.small_world import toy_head


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    save_head(toy_head(), tmp_path / "ours.safetensors", half=False)
    return tmp_path / "ours.safetensors"


def convert(folder: Path, reference: Path, *more: str) -> int:
    model = write_flame(folder, truth())
    landmarks = write_flame_landmarks(folder, toy_head())
    words = ["--input", str(model), "--landmarks", str(landmarks), "--output", str(folder / "flame.safetensors")]
    return main(["convert", "--from", "flame", *words, "--reference", str(reference), *more])


def test_a_converted_head_is_a_head_file_like_any_other(
    tmp_path: Path, reference: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(tmp_path, reference, "--identity-count", "5", "--expression-count", "7") == 0
    head, told = load_head(tmp_path / "flame.safetensors"), capsys.readouterr().out
    assert len(head.identity_basis) == 5
    # Two directions of a component and two sides count once and stay together.
    signed = [name for name in head.expression_names if name.startswith("expression")]
    assert len(signed) % 2 == 0
    assert len({re.sub("(Plus|Minus|Left|Right)$", "", name) for name in head.expression_names}) == 7
    assert ("eyeLookUpLeft" in head.expression_names) == ("eyeLookUpRight" in head.expression_names)
    assert set(head.landmarks) == {"ibug68", "mediapipe478"}
    assert head.skinning is not None
    assert head.skinning.identity_basis.shape[0] == 5
    assert "Our own head was laid onto it" in told
    assert "5 identity components" in told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "which command?"),
        (["turn"], "'turn' is no command"),
        (["convert", "--from", "flame", "--input", "x", "--output", "head.npz"], "ends in .safetensors"),
        (["convert", "--from", "smpl", "--input", "x", "--output", "head.safetensors"], "expected one of ict, flame"),
        (["convert", "--from", "ict", "--input", "absent", "--output", "head.safetensors"], "absent: no such file"),
        (
            ["convert", "--from", "ict", "--input", "x", "--masks", "m.pkl", "--output", "head.safetensors"],
            "--masks m.pkl: --from ict takes no further files",
        ),
        (
            ["convert", "--from", "ict", "--input", "x", "--output", "h.safetensors", "--identity-count", "0"],
            "--identity-count 0: expected at least 1",
        ),
        (["transfer", "absent.npz", "--output", "out.npz"], "absent.npz: no such file"),
        (["register", "absent.obj", "--output", "out.safetensors"], "absent.obj: no such file"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_result_is_carried_to_another_head_and_the_map_is_made_once(
    tmp_path: Path, reference: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert convert(tmp_path, reference) == 0
    flame = load_head(tmp_path / "flame.safetensors")
    rest = flame.vertices_mm + 0.5 * toy_head().identity_basis[0]
    rotation, translation = np.diag([-1.0, 1.0, -1.0]), np.array([1.0, 2.0, -600.0])
    arrays = {"vertices": rest, "vertices_neutral": rest, "rotation": rotation, "translation": translation}
    np.savez(tmp_path / "face.npz", **arrays)
    words = ["transfer", str(tmp_path / "face.npz"), "--from-head", str(tmp_path / "flame.safetensors")]
    words += ["--to-head", str(reference), "--output", str(tmp_path / "out" / "face.npz")]
    assert main(words) == 0
    assert "the correspondence of the two heads" in capsys.readouterr().out
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "the correspondence" not in told
    assert "mean distance of the skin" in told
    with np.load(tmp_path / "out" / "face.npz") as written:
        assert written["identity"].shape == (6,)
        assert written["identity"][0] == pytest.approx(0.5, abs=0.15)
        # The head stays where it was before the camera.
        there = rest @ rotation.T + translation
        np.testing.assert_allclose(written["vertices_camera"], there, atol=1.0)


def test_a_result_of_another_head_and_a_wrong_file_are_refused(
    tmp_path: Path, reference: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "few.npz", vertices=np.zeros((3, 3)))
    np.savez(tmp_path / "other.npz", vertices=np.zeros((3, 3)), vertices_neutral=np.zeros((3, 3)), rotation=np.eye(3),
             translation=np.zeros(3))  # fmt: skip
    (tmp_path / "text.npz").write_text("no archive")
    for name, said in (("few", "vertices_neutral"), ("other", "has shape (3, 3)"), ("text", "not an .npz archive")):
        words = ["transfer", str(tmp_path / f"{name}.npz"), "--from-head", str(reference), "--to-head", str(reference)]
        assert main([*words, "--output", str(tmp_path / "out.npz")]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "out.npz").exists()


def test_a_surrey_model_needs_no_landmark_file(
    tmp_path: Path, reference: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from model.face.readers import surrey

    monkeypatch.setattr(surrey, "POINTS", {k: int(truth().corners68[k]) for k in surrey.POINTS})
    path = write_surrey(tmp_path, truth(), blendshapes=True)
    words = ["convert", "--from", "surrey", "--input", str(path), "--output", str(tmp_path / "sfm.safetensors")]
    assert main([*words, "--reference", str(reference)]) == 0
    assert load_head(tmp_path / "sfm.safetensors").expression_names == ("anger", "happiness")

import os
from dataclasses import replace
from pathlib import Path

import pytest

from inference.inputs import InputImage
from inference.refine_request import RefineRequest
from inference.report import FaceEntry, ImageEntry, StageEntry
from inference.resume import Fingerprint, file_stamps, finished_entry, refinement_sha256, write_record

FINGERPRINT = Fingerprint("abc", ("glb", "npz"), largest_face=False)


@pytest.fixture
def finished(tmp_path: Path) -> tuple[Path, InputImage, ImageEntry]:
    """An output folder with one finished image."""
    source = tmp_path / "a.jpg"
    source.write_bytes(b"photograph")
    output = tmp_path / "out"
    folder = output / "a.jpg" / "face0"
    folder.mkdir(parents=True)
    (folder / "face.npz").write_bytes(b"numbers")
    (folder / "mesh.glb").write_bytes(b"mesh")
    face = FaceEntry("a.jpg/face0", (1.0, 2.0, 3.0, 4.0), 0.9, (10.0, 0.0, -5.0), file_stamps(folder))
    entry = ImageEntry(str(source), "a.jpg", "ok", "", (face,), 0.5)
    write_record(output, entry, source, FINGERPRINT)
    return output, InputImage(source, "a.jpg"), entry


def test_a_finished_image_is_known_again(finished: tuple[Path, InputImage, ImageEntry]) -> None:
    output, item, entry = finished
    assert finished_entry(output, item, FINGERPRINT) == entry
    (output / "a.jpg" / "face0" / "notes.txt").write_text("the user's own")
    assert finished_entry(output, item, FINGERPRINT) == entry


def test_other_options_or_another_checkpoint_are_not_the_same(finished: tuple[Path, InputImage, ImageEntry]) -> None:
    output, item, _ = finished
    for other in (
        replace(FINGERPRINT, checkpoint_sha256="other"),
        replace(FINGERPRINT, formats=("glb",)),
        replace(FINGERPRINT, largest_face=True),
        replace(FINGERPRINT, refinement="asked"),
        replace(FINGERPRINT, camera="known"),
        replace(FINGERPRINT, look="2048 unlit"),
        replace(FINGERPRINT, hair="none"),
    ):
        assert finished_entry(output, item, other) is None


def test_what_is_asked_about_refinement_is_part_of_it(tmp_path: Path) -> None:
    config, landmarks = tmp_path / "refine.yaml", tmp_path / "landmarks"
    config.write_text("window_px: 64")
    landmarks.mkdir()
    (landmarks / "a.json").write_text("1")
    request = RefineRequest(level="raster", config=config, landmarks=str(landmarks))
    assert refinement_sha256(RefineRequest()) == ""
    first = refinement_sha256(request)
    assert refinement_sha256(replace(request)) == first
    seen = {first, refinement_sha256(replace(request, level="raytrace"))}
    seen.add(refinement_sha256(replace(request, network=False)))
    seen.add(refinement_sha256(replace(request, landmarks="network")))
    config.write_text("window_px: 65")
    seen.add(refinement_sha256(request))
    (landmarks / "a.json").write_text("2")
    seen.add(refinement_sha256(request))
    assert len(seen) == 6
    # Where the config lies does not matter, what it says does.
    moved = tmp_path / "elsewhere.yaml"
    moved.write_text(config.read_text())
    assert refinement_sha256(replace(request, config=moved)) == refinement_sha256(request)


def test_a_refined_faces_stages_are_known_again(finished: tuple[Path, InputImage, ImageEntry]) -> None:
    output, item, entry = finished
    stages = (StageEntry("landmarks", True, "better", 0.5), StageEntry("raster", False, "worse", 2.0))
    refined = replace(entry, faces=(replace(entry.faces[0], refinement=stages),))
    write_record(output, refined, item.path, FINGERPRINT)
    assert finished_entry(output, item, FINGERPRINT) == refined


@pytest.mark.parametrize(
    "damage",
    [
        lambda output, source: (output / "a.jpg/face0/mesh.glb").unlink(),
        lambda output, source: (output / "a.jpg/face0/mesh.glb").write_bytes(b"mosh"),
        lambda output, source: (output / "a.jpg/result.json").unlink(),
        lambda output, source: (output / "a.jpg/result.json").write_text('{"format": '),
        lambda output, source: (output / "a.jpg/result.json").write_text("[1, 2]"),
        lambda output, source: (output / "a.jpg/result.json").write_text('{"format": "likeness-result-1"}'),
        lambda output, source: source.write_bytes(b"another photograph"),
        lambda output, source: os.utime(source, ns=(1, 1)),
        lambda output, source: source.unlink(),
    ],
)
def test_damage_is_noticed(finished: tuple[Path, InputImage, ImageEntry], damage) -> None:
    output, item, _ = finished
    damage(output, item.path)
    assert finished_entry(output, item, FINGERPRINT) is None

import os
from dataclasses import replace
from pathlib import Path

import pytest

from inference.inputs import InputImage
from inference.report import FaceEntry, ImageEntry
from inference.resume import Fingerprint, file_stamps, finished_entry, write_record

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
    ):
        assert finished_entry(output, item, other) is None


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

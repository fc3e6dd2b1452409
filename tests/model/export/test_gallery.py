import base64
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest

from model.export.face_files import FaceFiles
from model.export.gallery import GalleryFace, GalleryRow, write_gallery
from model.export.viewer_files import PAGE_FILES
from model.look.atlas import Atlas
from model.reconstructor import Reconstructor
from tests.small_gallery import AWFUL_NAME, FAILED_NAME, toy_face, write_results
from tests.small_world import toy_reconstructor


@pytest.fixture(scope="module")
def reconstructor() -> Reconstructor:
    return toy_reconstructor()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, reconstructor: Reconstructor) -> tuple[Path, Atlas]:
    output = tmp_path_factory.mktemp("results")
    return output, write_results(output, reconstructor)


class Page(HTMLParser):
    """The tags and the text of a page, as a browser would read them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(name)) is not None]


def script_argument(path: Path, function: str) -> dict:
    """What a script hands to the page."""
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"{function}(")
    assert text.endswith(");\n")
    return json.loads(text[len(function) + 1 : -3])


def numbers(encoded: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(encoded), kind)


@pytest.mark.slow
def test_names_cannot_leave_their_place(results: tuple[Path, Atlas]) -> None:
    page = Page(results[0] / "index.html")
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert "b" not in [tag for tag, _ in page.tags]
    assert AWFUL_NAME in page.text
    assert FAILED_NAME in page.text
    assert "no face <found>" in page.text
    assert page.values("data-label")[1] == f"Head of photos/{AWFUL_NAME}, face 2 of 2"


def test_files_are_named_from_the_folder_they_share(tmp_path: Path) -> None:
    face = GalleryFace("a.jpg/face0", (0.0, 0.0, 0.0))
    names = ("/long/way/in/a.jpg", "/long/way/in/deep/b.jpg", "/long/way/in/bad.jpg")
    rows = [GalleryRow(name, "ok", "", (face,)) for name in names[:2]] + [GalleryRow(names[2], "unreadable", "", ())]
    write_gallery(rows, tmp_path / "index.html")
    page = Page(tmp_path / "index.html")
    assert "long" not in page.text
    assert "deep/b.jpg" in page.text
    assert set(names) <= set(page.values("title"))
    write_gallery([*rows, GalleryRow("c.jpg", "ok", "", (face,))], tmp_path / "index.html")
    assert names[0] in Page(tmp_path / "index.html").text


@pytest.mark.slow
def test_the_files_of_use_have_short_names(tmp_path: Path, reconstructor: Reconstructor) -> None:
    write_results(tmp_path, reconstructor, faces=1, formats=("glb", "obj", "npz", "overlay"))
    text = " ".join(Page(tmp_path / "index.html").text.split())
    assert "GLB OBJ neutral OBJ NPZ texture overlay" in text
    assert "mesh.mtl" not in text


def test_everything_the_page_refers_to_is_there_and_near(results: tuple[Path, Atlas]) -> None:
    output, _ = results
    page = Page(output / "index.html")
    links = page.values("href") + page.values("src") + page.values("data-viewer")
    assert len(page.values("data-viewer")) == 2
    assert all((output / unquote(link)).is_file() for link in links)
    everything = [output / "index.html", *(output / "viewer").iterdir()]
    assert not [path for path in everything if re.search(r"https?:|//\w+\.\w", path.read_text(encoding="utf-8"))]


def test_pose_status_and_message_are_told(results: tuple[Path, Atlas]) -> None:
    text = Page(results[0] / "index.html").text
    assert "2 faces in 2 files" in text
    assert "in the photograph: yaw +12°" in text
    assert "pitch \N{MINUS SIGN}4°" in text
    assert "no face" in text


def test_a_damaged_photograph_with_a_face_is_told_of_too(tmp_path: Path) -> None:
    faces = (GalleryFace("a.jpg/face0", (0.0, 0.0, 0.0)),)
    write_gallery([GalleryRow("a.jpg", "ok", "the file breaks off", faces)], tmp_path / "index.html")
    assert "the file breaks off" in Page(tmp_path / "index.html").text


def test_the_faces_script_holds_the_head_with_its_expression(
    results: tuple[Path, Atlas], reconstructor: Reconstructor
) -> None:
    output, atlas = results
    expected = toy_face(reconstructor)
    path = output / AWFUL_NAME / "face0" / "viewer.js"
    assert path.stat().st_size < 600_000
    face = script_argument(path, "likeness.add")
    lowest, highest = np.array(face["lowest"]), np.array(face["highest"])
    positions = lowest + numbers(face["positions"], "<u2").reshape(-1, 3) / 65535 * (highest - lowest)
    (shared,) = script_argument(output / "viewer" / "head.js", "likeness.setHead")["parts"]
    assert shared["name"] == "skin"
    head = script_argument(output / "viewer" / "head.js", "likeness.setHead")
    vertex, faces = numbers(shared["vertex"], "<u4"), numbers(shared["faces"], "<u4").reshape(-1, 3)
    np.testing.assert_array_equal(np.sort(vertex[faces], axis=1), np.sort(expected.faces, axis=1))
    for expression, weight in zip(head["expressions"], face["weights"], strict=True):
        moved = numbers(expression["moved"], "<i2").reshape(-1, 3) / 32767 * expression["largest"]
        positions[numbers(expression["vertex"], "<u4")] += weight * moved
    np.testing.assert_allclose(positions, expected.vertices_mm, atol=0.1)
    assert [expression["name"] for expression in head["expressions"]] == list(expected.expression_names)
    textures = face["textures"]["skin"]
    assert textures.keys() == {"photograph", "albedo", "normal"}
    assert all(address.startswith("data:image/jpeg;base64,") for address in textures.values())
    assert len(numbers(face["occlusion"], "u1")) == len(numbers(head["roughness"], "u1")) == len(positions)
    uv = numbers(shared["uv"], "<u2").reshape(-1, 2) / 65535
    np.testing.assert_allclose(uv, np.stack((atlas.uv[:, 0], 1 - atlas.uv[:, 1]), 1), atol=1e-4)


def test_a_head_at_the_edge_is_shown_as_its_ray_sees_it(tmp_path: Path, reconstructor: Reconstructor) -> None:
    from model.export.viewer_files import write_face_script

    aside = toy_face(reconstructor, (300.0, 0.0, -600.0))
    files = FaceFiles(reconstructor.morphable_model, 64)
    look = files.look(aside, np.zeros((240, 200, 3), np.uint8))
    write_face_script(aside, look, tmp_path / "viewer.js")
    rotation = np.array(script_argument(tmp_path / "viewer.js", "likeness.add")["rotation"]).reshape(3, 3)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-5)
    # A frontal head on the right of the picture shows more of the side that is nearer to the middle: as if turned.
    centre = aside.vertices_camera_mm.mean(0)
    assert np.degrees(np.arctan2(rotation[0, 2], rotation[2, 2])) == pytest.approx(
        np.degrees(np.arctan2(centre[0], -centre[2])), abs=0.5
    )


@pytest.mark.parametrize(
    ("formats", "heads", "pictures"), [(("glb",), 2, 0), (("overlay",), 0, 2), (("npz",), 0, 0), (("obj",), 0, 0)]
)
def test_what_was_not_asked_for_is_not_shown(
    tmp_path: Path, reconstructor: Reconstructor, formats: tuple[str, ...], heads: int, pictures: int
) -> None:
    write_results(tmp_path, reconstructor, formats=formats)
    page = Page(tmp_path / "index.html")
    assert len(page.values("data-viewer")) == heads
    assert [tag for tag, _ in page.tags].count("img") == pictures


def test_a_name_that_is_not_text_and_an_empty_page(tmp_path: Path) -> None:
    write_gallery([GalleryRow("\udcff.jpg", "unreadable", "", ())], tmp_path / "index.html")
    assert "unreadable" in Page(tmp_path / "index.html").text
    write_gallery([], tmp_path / "index.html")
    assert "0 faces in 0 files" in Page(tmp_path / "index.html").text
    assert {path.name for path in (tmp_path / "viewer").iterdir()} == set(PAGE_FILES)


def test_a_face_whose_folder_is_gone_is_still_listed(tmp_path: Path) -> None:
    rows = [GalleryRow("a.jpg", "ok", "", (GalleryFace("a.jpg/face0", (0.0, 0.0, 0.0)),))]
    write_gallery(rows, tmp_path / "index.html")
    assert "a.jpg" in html.unescape((tmp_path / "index.html").read_text())

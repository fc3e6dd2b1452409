from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from evaluation.metrics import same_person_area
from model.recognition import RecognitionConfig, RecognitionNetwork, build_recognition_network, embed_faces
from model.recognition.alignment import align_faces, five_points
from model.recognition.dlib_resnet import DlibResNet
from model.recognition.facenet import FaceNet
from model.recognition.mobilefacenet import MobileFaceNet
from tests.model.recognition.faces import (
    face_points,
    random_dlib_weights,
    random_mobilefacenet_file,
    smooth_pictures,
    write_mobilefacenet,
)

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
DLIB = SHARED / "identity-network" / "dlib_resnet_v1.npz"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    from facenet_pytorch import InceptionResnetV1

    torch.save(InceptionResnetV1(pretrained=None).state_dict(), folder / "facenet.pt")
    return {
        "dlib": random_dlib_weights(folder / "dlib.npz"),
        "facenet": folder / "facenet.pt",
        "mobilefacenet": write_mobilefacenet(folder / "mobilefacenet.npz", *random_mobilefacenet_file()),
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "width"),
    [("dlib", DlibResNet, 128), ("facenet", FaceNet, 512), ("mobilefacenet", MobileFaceNet, 512)],
)
def test_the_config_chooses_and_every_member_keeps_the_contract(
    name: str, kind: type, width: int, weights: dict[str, Path]
) -> None:
    network = build_recognition_network(RecognitionConfig(name, weights[name]))  # pyright: ignore[reportArgumentType]
    assert isinstance(network, kind)
    assert isinstance(network, RecognitionNetwork)
    size = network.face_size_px
    # The subject's right eye is at the left of the picture, the eyes above the nose above the mouth, all inside.
    right_eye, left_eye, nose, right_corner, left_corner = network.template_px
    assert 0 < right_eye[0] < nose[0] < left_eye[0] < size
    assert 0 < right_corner[0] < nose[0] < left_corner[0] < size
    assert 0 < right_eye[1] < nose[1] < right_corner[1] < size
    pictures = smooth_pictures()
    points = torch.stack((face_points(), face_points((50.0, 42.0))))
    vectors = embed_faces(network, pictures, points)
    assert vectors.shape == (2, width)
    assert network.feature_count == width
    torch.testing.assert_close(vectors, network.embed(align_faces(pictures, points, network.template_px, size)))
    torch.testing.assert_close(network.similarity(vectors, vectors), torch.ones(2))
    assert network.similarity(vectors[:1], vectors[1:])[0] < 1.0


def test_weights_that_are_not_downloaded_must_be_named() -> None:
    with pytest.raises(ValueError, match=r"`dlib`.*\.npz.*dlib_resnet\.py.*facenet"):
        build_recognition_network(RecognitionConfig("dlib"))
    with pytest.raises(ValueError, match=r"`mobilefacenet`.*\.npz.*mobilefacenet\.py.*facenet"):
        build_recognition_network(RecognitionConfig("mobilefacenet"))


def test_the_five_points_are_eye_centres_nose_and_mouth_corners() -> None:
    landmarks = torch.arange(136.0).reshape(1, 68, 2)
    expected = [[77.0, 78.0], [89.0, 90.0], [60.0, 61.0], [96.0, 97.0], [108.0, 109.0]]
    assert five_points(landmarks)[0].tolist() == expected


@pytest.mark.slow
@pytest.mark.skipif(not (DLIB.is_file() and (SHARED / "photos").is_dir()), reason="needs shared/data")
def test_photographs_of_one_person_are_nearer_than_those_of_two() -> None:
    network = build_recognition_network(RecognitionConfig("dlib", DLIB))
    pictures, points, people = lfw_photographs(60, 5)
    vectors = []
    with torch.inference_mode():
        for picture, landmarks in zip(pictures, points, strict=True):
            vectors.append(embed_faces(network, picture[None], landmarks[None])[0])
    embedded = torch.stack(vectors)
    first, second = torch.triu_indices(len(people), len(people), 1)
    same = torch.from_numpy(people)[first] == torch.from_numpy(people)[second]
    likeness = network.similarity(embedded[first], embedded[second])
    # The published threshold parts them: most of one person are above, most of two below.
    assert (likeness[same] > 0.5).float().mean() > 0.85
    assert (likeness[~same] < 0.5).float().mean() > 0.85
    assert same_person_area(embedded.double().numpy(), people) > 0.95


def lfw_photographs(person_count: int, each: int) -> tuple[list[torch.Tensor], list[torch.Tensor], np.ndarray]:
    """Grey photographs of people seen several times, with their 68 points."""
    import tarfile

    with np.load(SHARED / "photos" / "annotations.npz", allow_pickle=False) as file:
        names, person = file["name"], file["identity"]
    with np.load(SHARED / "photos" / "landmarks68.npz", allow_pickle=False) as file:
        landmarks, reliable = file["points_eighth_px"].transpose(2, 0, 1)[..., :2] / 8.0, file["reliable"]
    wanted: dict[str, tuple[int, int]] = {}
    found, counts = np.unique(person[(person != "") & reliable], return_counts=True)
    for number, name in enumerate(found[counts >= each][:person_count]):
        rows = np.flatnonzero((person == name) & reliable)[:each]
        wanted |= {str(names[row]): (int(row), number) for row in rows}
    pictures, points, people = [], [], []
    for path in sorted((SHARED / "photos").glob("photos-*.tar")):
        with tarfile.open(path) as archive:
            for member in archive:
                if member.name not in wanted:
                    continue
                stream = archive.extractfile(member)
                assert stream is not None
                grey = cv2.imdecode(np.frombuffer(stream.read(), np.uint8), cv2.IMREAD_GRAYSCALE)
                row, number = wanted[member.name]
                pictures.append(torch.from_numpy(grey).float().expand(3, -1, -1) / 255.0)
                points.append(torch.from_numpy(landmarks[row]).float())
                people.append(number)
    assert len(people) == person_count * each
    return pictures, points, np.array(people)

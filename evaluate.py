"""Measure a checkpoint.

    python evaluate.py aflw2000 --data DIR       landmarks and pose on AFLW2000-3D
    python evaluate.py detectors --data DIR      which faces are found, what else is taken for one, and how quickly
    python evaluate.py confidence --data DIR     whether the confidence of an answer tells the wrong ones
    python evaluate.py photographs --data DIR    re-rendered faces, and whether people are told apart
    python evaluate.py population --data DIR     whether the heads of held-out people differ, and are at rest
    python evaluate.py shapes                    shapes of drawn heads, which need no data
    python evaluate.py inverse-rendering         skin and light of path-traced faces of which everything is known
    python evaluate.py skins                     skin of drawn heads of known albedo, each under many lights
    python evaluate.py looks --data DIR          lit heads of photographs: still the person, without a seam
    python evaluate.py scans --data DIR          shapes of scanned heads by the NoW protocol, and their profiles

Exit code 2 if the data or the checkpoint is not there.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

# As in `infer.py`: threads inside small operations cost more than they bring.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from jsonargparse import auto_cli

from common.command_line import ShortParser, spelled
from common.old_names import EVALUATE_OPTIONS, current_arguments
from common.paths import DEFAULT_CHECKPOINT, DEFAULT_HIERARCHY, shipped
from inference.options import DEFAULT_LOOKS, CommandLineError, Device
from inference.refine_request import Level
from model.recognition.config import NetworkKind, RecognitionConfig
from model.refine.mitsuba.variant import MitsubaUnavailableError

if TYPE_CHECKING:
    from evaluation.scans import Answer
    from evaluation.scans_data import AnsweredHead, ScanPicture
    from model.face.morphable_model import MorphableModel

# Each measure loads what it needs when it is asked for, and after its paths were looked at: that takes seconds.

DEFAULT_FACES = Path("benchmarks") / "inverse_rendering"
"""Below the working folder: where the program lies may be nobody's to write."""


def aflw2000(
    data: Path, checkpoint: Path = DEFAULT_CHECKPOINT, device: Device = "auto", looks: int = DEFAULT_LOOKS
) -> None:
    """Print the 68-point table of AFLW2000-3D, with own detection and with true boxes.

    Args:
        data: Folder with AFLW2000-3D's `image*.jpg` and `image*.mat`, or some of them.
        checkpoint: Checkpoint folder.
        device: Where to compute.
        looks: Crops of each face; by default as many as `infer.py` takes.
    """
    _refuse_missing(data, checkpoint)
    from evaluation.aflw2000 import evaluate_faces, format_table
    from evaluation.aflw2000_data import read_aflw2000
    from inference.faces import FaceReconstructor
    from inference.setup import load_likeness

    faces = read_aflw2000(data)
    likeness = load_likeness(checkpoint, device, looks)
    own = evaluate_faces(faces, likeness.checked, likeness.detector)
    # Published tables give the network the true box and look once.
    true_boxes = evaluate_faces(faces, FaceReconstructor(likeness.faces.reconstructor, likeness.device, 1), None)
    print(format_table(own, true_boxes))


def detectors(data: Path, drawn: Path | None = None) -> None:
    """Print which faces each detector finds: photographs by yaw, groups by size, pictures without a face; and its time.

    Args:
        data: Folder of AFLW2000-3D, or of shards made by `python -m data.prepare`.
        drawn: Folder of heads drawn by `python -m tools.draw_heads`, for groups of such heads.
    """
    _refuse_missing(data, DEFAULT_CHECKPOINT)
    from evaluation.detectors import compare_detectors, format_detectors, searched_pictures
    from evaluation.detectors import detectors as compared_detectors
    from evaluation.hard_photographs import read_labelled

    photographs = list(read_labelled(data))
    print(format_detectors(compare_detectors(searched_pictures(photographs, drawn), compared_detectors())))


def confidence(data: Path, every: int = 1, checkpoint: Path = DEFAULT_CHECKPOINT, device: Device = "auto") -> None:
    """Print how well the confidence of an answer ranks errors, on photographs as they are and made hard.

    Args:
        data: Folder of AFLW2000-3D, or of held-out shards made by `python -m data.prepare`.
        every: Take one photograph in so many.
        checkpoint: Checkpoint folder.
        device: Where to compute.
    """
    _refuse_missing(data, checkpoint)
    from itertools import chain

    import numpy as np

    from data.detection_limits import LEAST_SCORE
    from data.detector import FaceDetector
    from evaluation.confidence import format_confidence, judge
    from evaluation.hard_photographs import faceless, harden, read_labelled
    from inference.setup import load_likeness

    likeness = load_likeness(checkpoint, device)
    generator = np.random.default_rng(0)
    hard = chain.from_iterable(harden(photograph, generator) for photograph in read_labelled(data, every))
    judged = judge(hard, likeness.detector, likeness.checked.answers)
    # What the detector takes for a face, and what it would take for one if it were asked for less.
    judged += judge(faceless(), FaceDetector(min_score=LEAST_SCORE), likeness.checked.answers)
    print(format_confidence(judged))


def photographs(
    data: Path,
    split: Literal["val", "train"] = "val",
    checkpoint: Path = DEFAULT_CHECKPOINT,
    device: Device = "auto",
    recognition_network: Path | None = None,
    recognition_network_kind: NetworkKind = "dlib",
) -> None:
    """Print how well held-out photographs are re-rendered, and how well identity tells people apart.

    Args:
        data: Folder of shards made by `python -m data.prepare`.
        split: Its part; `val` holds people and photographs that training never saw.
        checkpoint: Checkpoint folder.
        device: Where to compute.
        recognition_network: Weights of a face-recognition network, as a yardstick for it: dlib's ResNet as `.npz`,
            MobileFaceNet as `.npz`, or FaceNet as `.safetensors` or `.pt`.
        recognition_network_kind: Which of them.
    """
    _refuse_missing(data, checkpoint)
    from data.loader import LoaderConfig, build_loader
    from evaluation.photographs import evaluate_photographs, observation_on
    from evaluation.photographs_table import format_photographs
    from inference.setup import choose_device, load_model
    from model.recognition import build_recognition_network
    from model.render.backends import build_rasterizer
    from model.render.renderer import Renderer

    chosen = choose_device(device)
    network = None
    if recognition_network is not None:
        network = build_recognition_network(RecognitionConfig(recognition_network_kind, recognition_network)).to(chosen)
    reconstructor = load_model(checkpoint, chosen)
    config = LoaderConfig(data / split, training=False, size=reconstructor.image_size, workers=1)
    observations = (observation_on(batch, chosen) for batch in build_loader(config))
    results = evaluate_photographs(observations, reconstructor, Renderer(build_rasterizer()), network)
    print(format_photographs(results))


def population(
    data: Path,
    split: Literal["val", "train"] = "val",
    checkpoint: Path = DEFAULT_CHECKPOINT,
    device: Device = "auto",
) -> None:
    """Print what the answers for many photographs have in common: a biased head, expressions on faces at rest.

    Args:
        data: Folder of shards made by `python -m data.prepare`, with blendshape labels.
        split: Its part; `val` holds people and photographs that training never saw.
        checkpoint: Checkpoint folder.
        device: Where to compute.
    """
    _refuse_missing(data, checkpoint)
    from data.loader import LoaderConfig, build_loader
    from evaluation.photographs import observation_on
    from evaluation.population import ask, format_population, measure_population
    from inference.setup import choose_device, load_model
    from training.synthetic_geometry import geometry_weight

    chosen = choose_device(device)
    reconstructor = load_model(checkpoint, chosen)
    config = LoaderConfig(data / split, training=False, size=reconstructor.image_size, workers=1)
    answers = ask((observation_on(batch, chosen) for batch in build_loader(config)), reconstructor)
    model = reconstructor.morphable_model
    print(format_population(measure_population(answers, model, geometry_weight(model))))


def shapes(
    count: int = 512, relief: bool = True, checkpoint: Path = DEFAULT_CHECKPOINT, device: Device = "auto"
) -> None:
    """Print how well the shapes of drawn heads are found, and whether the model knows how well.

    Args:
        count: How many heads; none of them is drawn in training.
        relief: Heads with shapes that the morphable model cannot make.
        checkpoint: Checkpoint folder.
        device: Where to compute.
    """
    _refuse_missing(None, checkpoint)
    import torch

    from evaluation.shapes import evaluate_shapes, format_shapes
    from inference.setup import choose_device, load_model
    from model.face.hierarchy import load_hierarchy
    from training.synthetic_config import SyntheticGeometryConfig
    from training.synthetic_geometry import HELD_OUT_SEED, SyntheticGeometry

    chosen = choose_device(device)
    reconstructor = load_model(checkpoint, chosen)
    head = load_model(checkpoint, torch.device("cpu")).morphable_model
    hierarchy = load_hierarchy(DEFAULT_HIERARCHY) if relief else None
    config = SyntheticGeometryConfig(batch_size=32, relief=relief, seed=HELD_OUT_SEED)
    heads = SyntheticGeometry(config, head, hierarchy, reconstructor.image_size)
    print(format_shapes(evaluate_shapes((heads.batch(i) for i in range(-(-count // 32))), reconstructor)))


def inverse_rendering(
    geometry: Literal["exact", "own"] = "exact",
    ablations: bool = False,
    count: int | None = None,
    samples: int = 512,
    refine_config: Path | None = None,
    checkpoint: Path = DEFAULT_CHECKPOINT,
    folder: Path = DEFAULT_FACES,
) -> None:
    """Print how well skin and light are told apart by the ray-traced refinement.

    Args:
        geometry: `exact`: the true head and camera, with the network's albedo and light to begin with; `own`: all from
            the photograph, as in `infer.py --refine raytrace`, the camera unknown.
        ablations: Also without bounce, without symmetry and with other kinds of light.
        count: How many of the faces; by default all.
        samples: Paths per pixel of their photographs.
        refine_config: Settings of the refinement, such as `configs/refine_fast.yaml`.
        checkpoint: Checkpoint folder.
        folder: Where traced photographs are kept; 20 seconds each are saved.
    """
    _refuse_missing(None, checkpoint)
    from evaluation.inverse_rendering.benchmark import evaluate_inverse_rendering
    from evaluation.inverse_rendering.faces import PLANS, RenderSettings, benchmark_faces
    from evaluation.inverse_rendering.fits import FULL, WITHOUT_VISIBILITY, as_fit, variants
    from evaluation.inverse_rendering.starts import ExactGeometry, OwnGeometry
    from evaluation.inverse_rendering.table import format_header, format_inverse_rendering, format_result
    from inference.refine_options import RefineOptions, read_refine_options
    from inference.setup import load_likeness
    from model.face.hierarchy import load_hierarchy
    from model.refine.raytrace.stage import fit_raytrace
    from model.render.backends import build_rasterizer
    from model.render.renderer import Renderer

    count = len(PLANS) if count is None else count
    if not 1 <= count <= len(PLANS):
        raise ValueError(f"--count {count}: there are 1 to {len(PLANS)} faces")
    options = RefineOptions() if refine_config is None else read_refine_options(shipped(refine_config))
    likeness = load_likeness(checkpoint, "cpu")
    model = likeness.morphable_model
    faces = benchmark_faces(model, load_hierarchy(DEFAULT_HIERARCHY), folder, RenderSettings(samples=samples), count)
    start = (
        ExactGeometry(model, likeness)
        if geometry == "exact"
        else OwnGeometry(model, likeness, options.landmarks, options.raster)
    )
    fits = {name: as_fit(fit_raytrace, model, config) for name, config in variants(options.raytrace, ablations).items()}
    print(format_header())
    results = []
    for result in evaluate_inverse_rendering(faces, model, Renderer(build_rasterizer()), start, fits):
        print(format_result(result), flush=True)
        results.append(result)
    print(f"\n{format_inverse_rendering(results, FULL, WITHOUT_VISIBILITY)}")


def skins(
    heads: int | None = None,
    lights: int = 20,
    geometry: Literal["exact", "own"] = "exact",
    checkpoint: Path = DEFAULT_CHECKPOINT,
) -> None:
    """Print how right the skin without light is, and how much it varies with the light of the photograph.

    Args:
        heads: How many drawn heads, from dark to light skin; by default all there are.
        lights: In how many lights each is photographed; every other one throws hard shadows.
        geometry: `exact`: the true head and camera, with the network's albedo and light; `own`: all by the network.
        checkpoint: Checkpoint folder.
    """
    _refuse_missing(None, checkpoint)
    from evaluation.inverse_rendering.faces import PLANS, TEXTURE_PX
    from evaluation.inverse_rendering.many_lights import (
        Albedo,
        Photograph,
        format_skins,
        skins_under_lights,
        with_true_shape,
    )
    from inference.likeness import Likeness
    from model.export.face_files import FaceFiles
    from model.face.hierarchy import load_hierarchy
    from model.look.face_result import face_result
    from model.look.sampling import linear_of
    from model.refine.face import FittedFace

    heads = len(PLANS) if heads is None else heads
    if not 1 <= heads <= len(PLANS):
        raise ValueError(f"--heads {heads}: there are 1 to {len(PLANS)} heads")
    if lights < 2:
        raise ValueError(f"--lights {lights}: at least 2 are needed to see how the answer varies")
    likeness = Likeness.load(checkpoint, "cpu")
    model = likeness.morphable_model
    files = FaceFiles(model, TEXTURE_PX)
    atlas = files.atlas

    def ask(photograph: Photograph, truth: FittedFace) -> dict[str, Albedo] | None:
        found = likeness.reconstruct(photograph, largest_face=True)
        if not found:
            return None
        result = found[0].result
        if geometry == "exact":
            shaped = with_true_shape(found[0].reconstruction, truth, model)
            result = face_result(shaped, model, truth.intrinsics_px, result.box_px, result.score)
        texture = files.look(result, photograph).skin
        return {
            "photograph as it is": linear_of(texture.image_srgb),
            "network, by vertex": atlas.sample(result.albedo_vertex_linear)[atlas.nearest],
            "skin of the lit head": linear_of(texture.albedo_srgb),
        }

    measured = skins_under_lights(model, load_hierarchy(DEFAULT_HIERARCHY), ask, heads=heads, lights=lights)
    print(format_skins(list(measured)))


def looks(
    data: Path,
    count: int = 20,
    refine: Level = "none",
    recognition_network: Path | None = None,
    recognition_network_kind: NetworkKind = "dlib",
    checkpoint: Path = DEFAULT_CHECKPOINT,
) -> None:
    """Print whether lit heads are still the people of their photographs, and whether a seam shows along the middle.

    Args:
        data: Folder of photographs; the largest face of each counts.
        count: How many of them.
        refine: A refinement to compare with, `raytrace` for instance.
        recognition_network: Weights of a face-recognition network; without them the cosines are left out.
        recognition_network_kind: Which network they are of.
        checkpoint: Checkpoint folder.
    """
    _refuse_missing(data, checkpoint)
    from evaluation.looks import format_looks, look_of
    from inference.inputs import list_inputs
    from inference.likeness import Likeness
    from model.recognition import build_recognition_network

    network = None
    if recognition_network is not None:
        network = build_recognition_network(RecognitionConfig(recognition_network_kind, recognition_network))
    likeness = Likeness.load(checkpoint, "cpu")
    model, results = likeness.morphable_model, []
    ways: tuple[Level, ...] = ("none",) if refine == "none" else ("none", refine)
    for path in sorted(str(item.path) for item in list_inputs([data], data / "nothing"))[:count]:
        for way in ways:
            for head in likeness.reconstruct(path, largest_face=True, refine=way):
                atlases = likeness.atlases
                look = look_of(Path(path).name, head.result, head.photograph_srgb, head.look, atlases, model, network)
                results.append((way, look))
    print("\n".join(format_looks(results)))


def scans(
    data: Path,
    predictions: Path | None = None,
    write_now: Path | None = None,
    checkpoint: Path = DEFAULT_CHECKPOINT,
    device: Device = "auto",
    looks: int = DEFAULT_LOOKS,
) -> None:
    """Print how near the heads come to scans: NoW's protocol, the mesh as written, and the profile.

    Args:
        data: Folder with `heads/HEAD.npz` and `photos/HEAD_YAW.png`.
        predictions: Measure these meshes instead of the checkpoint's: what `infer.py --images DIR/photos --output ...`
            wrote, or another method's, with `vertices`, `vertices_neutral`, `faces` and `landmarks68_model` in
            `HEAD_YAW.png/face0/face.npz`.
        write_now: Folder to write the neutral meshes and landmarks to, as a submission to the NoW benchmark.
        checkpoint: Checkpoint folder; with `predictions` only its head model is used.
        device: Where to compute.
        looks: Crops of each face; by default as many as `infer.py` takes.
    """
    _refuse_missing(data, checkpoint)
    import torch

    from evaluation.now_files import write_now_files
    from evaluation.scans import evaluate_pictures, evaluate_yardsticks
    from evaluation.scans_data import read_scans
    from evaluation.scans_table import format_scans
    from inference.setup import load_model

    heads, pictures = read_scans(data)
    model = load_model(checkpoint, torch.device("cpu")).morphable_model
    answer = _answers(predictions, pictures, model, checkpoint, device, looks)

    def kept(picture: "ScanPicture") -> "AnsweredHead | None":
        answered = answer(picture)
        if answered is not None and write_now is not None:
            write_now_files(answered, picture.name, write_now)
        return answered

    results = list(evaluate_pictures(pictures, kept))
    print(format_scans(results, evaluate_yardsticks(heads, model)))


def _answers(
    predictions: Path | None,
    pictures: "list[ScanPicture]",
    model: "MorphableModel",
    checkpoint: Path,
    device: Device,
    looks: int,
) -> "Answer":
    """Who is measured on scans: the model or what lies in a folder."""
    from evaluation.scans import Reconstructing
    from evaluation.scans_data import prediction_path, read_prediction
    from inference.setup import load_likeness

    if predictions is None:
        likeness = load_likeness(checkpoint, device, looks)
        return Reconstructing(likeness, model)
    if not any(prediction_path(predictions, picture).is_file() for picture in pictures):
        raise FileNotFoundError(
            f"{prediction_path(predictions, pictures[0])}: missing, and so are those of the other pictures; "
            "--predictions names what infer.py --images DIR/photos --output wrote"
        )
    return lambda picture: read_prediction(predictions, picture, model)


def _refuse_missing(data: Path | None, checkpoint: Path) -> None:
    """Refuse folders that are not there, as their readers would after the seconds that loading torch takes.

    Raises:
        FileNotFoundError: Naming the option.
    """
    if data is not None and not data.is_dir():
        raise FileNotFoundError(f"--data {data}: no such folder")
    if not (checkpoint / "config.json").is_file():
        raise FileNotFoundError(f"--checkpoint {checkpoint}: no checkpoint; it is a folder with a config.json")


def main(arguments: list[str] | None = None, program: str = "evaluate.py") -> int:
    """Read the command line and measure; returns the exit code.

    Args:
        arguments: The command line without the program; by default that of this process.
        program: What messages call it.
    """
    try:
        commands = {
            "aflw2000": aflw2000,
            "detectors": detectors,
            "confidence": confidence,
            "photographs": photographs,
            "population": population,
            "shapes": shapes,
            "inverse-rendering": inverse_rendering,
            "skins": skins,
            "looks": looks,
            "scans": scans,
        }
        given = sys.argv[1:] if arguments is None else arguments
        auto_cli(
            commands,
            args=current_arguments(spelled(given, "_"), EVALUATE_OPTIONS, program),
            as_positional=False,
            parser_class=ShortParser,
            prog=program,
            description="Measure a checkpoint: each command prints one table.",
        )
    except (FileNotFoundError, ValueError, CommandLineError, MitsubaUnavailableError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

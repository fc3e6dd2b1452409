"""Where the time goes: milliseconds per face of each step, and seconds of infer.py.

    python -m tools.benchmark [--photographs DIR] [--checkpoint DIR] [--threads N]

Beside the time by the clock on the wall stand its spread over the runs and the time of the processors: on a busy
machine only the latter tells of Likeness. Without a folder of photographs, variants of scikit-image's astronaut are
used, so it runs anywhere.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import skimage.data
import torch

from common.paths import DEFAULT_CHECKPOINT, REPOSITORY
from data.alignment import crop_image, window_from_detection
from data.image_io import DecodedPhotograph, find_images, read_photograph
from data.video_file import VideoFile
from inference.camera import Cameras
from inference.faces import FaceRequest
from inference.inputs import InputImage
from inference.jobs import FaceJob
from inference.likeness import Likeness
from inference.network_session import SESSION_FILE, NetworkSession
from inference.options import DEFAULT_FORMATS, Format
from inference.outputs import FaceWriter
from inference.setup import load_likeness
from inference.video import follow
from model.export.face_files import FaceFiles
from model.export.film import open_film
from model.geometry.camera import crop_intrinsics, default_intrinsics
from model.render.backends import build_rasterizer
from model.render.renderer import Renderer
from tools.timing import spent_ms


def write_variants(folder: Path, count: int) -> None:
    """Variants of the astronaut: mirrored, dimmed, turned and scaled."""
    rng = np.random.default_rng(0)
    photograph = skimage.data.astronaut()
    for number in range(count):
        image = photograph[:, ::-1] if number % 2 else photograph
        matrix = cv2.getRotationMatrix2D((256.0, 200.0), rng.uniform(-15.0, 15.0), rng.uniform(0.8, 1.2))
        image = cv2.warpAffine(np.ascontiguousarray(image), matrix, (512, 512), borderMode=cv2.BORDER_REFLECT)
        image = cv2.convertScaleAbs(image, alpha=rng.uniform(0.6, 1.1))
        cv2.imwrite(str(folder / f"variant{number:03d}.jpg"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))


def benchmark_steps(paths: list[Path], checkpoint: Path, rasterizer_size: int = 256) -> None:
    """Print milliseconds per face of each step, on the first photograph with a face."""
    likeness = load_likeness(checkpoint, "cpu")
    reconstructor = likeness.faces.reconstructor
    image_srgb, detection = next(
        (image, found[0]) for image in map(read_photograph, paths) if (found := likeness.detector.detect(image))
    )
    window = window_from_detection(detection)
    size = reconstructor.image_size
    intrinsics_px = crop_intrinsics(
        default_intrinsics(*image_srgb.shape[:2]), window.left_px, window.top_px, size / window.side_px
    )[None]
    crop = torch.from_numpy(crop_image(image_srgb, window, size)).permute(2, 0, 1)[None].float() / 255.0
    request = FaceRequest.of_detection(image_srgb, detection)
    with torch.inference_mode():
        parameters = reconstructor.encode(crop, intrinsics_px)
        mesh = reconstructor.decode(parameters, intrinsics_px).mesh
        features = reconstructor.backbone(crop)
        session = NetworkSession.of_checkpoint(checkpoint) if (checkpoint / SESSION_FILE).is_file() else None
        renderer = Renderer(build_rasterizer())
        scale = rasterizer_size / size
        large_px = crop_intrinsics(intrinsics_px, 0.0, 0.0, scale)

        def network_head_landmarks() -> None:
            reconstructor.landmarks_image(reconstructor.encode(crop, intrinsics_px), intrinsics_px)

        def draw() -> None:
            faces = reconstructor.morphable_model.faces
            renderer.render_mesh(mesh, parameters.lighting, faces, large_px, rasterizer_size)

        rows: list[tuple[str, Callable[[], object]]] = [
            (
                f"decode and detect ({image_srgb.shape[1]} x {image_srgb.shape[0]} px)",
                lambda: _find(likeness, paths[0]),
            ),
            ("detection alone", lambda: likeness.detector.detect(image_srgb)),
            ("the same of the largest face only", lambda: likeness.detector.detect(image_srgb, largest_face=True)),
            ("pixels to parameters and 68 landmarks, one face", lambda: likeness.glance(image_srgb)),
            ("crop", lambda: crop_image(image_srgb, window, size)),
            (f"network ({reconstructor.config.backbone}, {size} px)", lambda: reconstructor.backbone(crop)),
            ("parameter head", lambda: reconstructor.read_parameters(features, intrinsics_px)),
            ("landmarks alone", lambda: reconstructor.landmarks_image(parameters, intrinsics_px)),
            ("network + head + landmarks", network_head_landmarks),
            ("the same by the file of likeness export", lambda: session and session.outputs(crop, intrinsics_px)),
            ("whole mesh", lambda: reconstructor.decode(parameters, intrinsics_px)),
            (f"rasterizer and shading, {rasterizer_size} px", draw),
            ("one face, two looks, mesh", lambda: likeness.faces.reconstruct([request])),
            ("the same in a batch of 16, per face", lambda: likeness.faces.reconstruct([request] * 16)),
        ]
        print(f"{'milliseconds':<52}{'wall':>10} {'10 %':>9} {'90 %':>9} {'CPU':>9}")
        for title, work in rows:
            if "likeness export" not in title or session is not None:
                print(f"{title:<52}{spent_ms(work, each=16 if 'batch of 16' in title else 1)}", flush=True)
    reconstruction = likeness.faces.reconstruct([request])[0]
    files = FaceFiles(reconstructor.morphable_model)
    with tempfile.TemporaryDirectory() as folder:
        job = FaceJob(InputImage(paths[0], "a"), 0, image_srgb, detection, request, reconstruction)
        choices: list[tuple[Format, ...]] = [*((one,) for one in DEFAULT_FORMATS), DEFAULT_FORMATS]
        for formats in choices:
            writer = FaceWriter(Path(folder), files, formats, hair_maker=likeness.hair_maker)
            print(f"{'writing ' + ' + '.join(formats):<52}{spent_ms(lambda w=writer: w.write(job), 5)}", flush=True)


def benchmark_video(paths: list[Path], checkpoint: Path, count: int = 150) -> None:
    """Print frames per second of following one face through a film of 1280 x 720 px, without an overlay.

    The film moves and turns the first photograph with a face. Decoding has a thread of its own.
    """
    likeness = load_likeness(checkpoint, "cpu")
    image_srgb = next(image for image in map(read_photograph, paths) if likeness.detector.detect(image))
    height, width = image_srgb.shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        film_path = Path(folder) / "film.mp4"
        with open_film(film_path, (1280, 720), 30.0) as film:
            for number in range(count):
                angle, scale = 8.0 * np.sin(number / 9.0), 720.0 / height * (1.0 + 0.1 * np.sin(number / 23.0))
                matrix = cv2.getRotationMatrix2D((0.5 * width, 0.5 * height), angle, scale)
                matrix[:, 2] += (640.0 - 0.5 * width + 60.0 * np.sin(number / 13.0), 360.0 - 0.5 * height)
                film.write(
                    cv2.warpAffine(image_srgb, matrix, (1280, 720), borderMode=cv2.BORDER_REFLECT), number / 30.0
                )
        video = VideoFile(film_path)
        camera = Cameras().of(DecodedPhotograph(next(video.frames()).image_srgb), film_path)
        # The first frames load and compile what all others use.
        started: list[float] = []
        follow(likeness, video, camera, tell=lambda done, _: started.append(time.perf_counter()))
        title, rate = f"one face of a film of 1280 x 720 px, {count} frames", (count - 1) / (started[-1] - started[0])
        print(f"{title:<52}{rate:>10.1f} frames/s", flush=True)


def _find(likeness: Likeness, path: Path) -> object:
    return likeness.detector.detect(read_photograph(path))


def benchmark_program(folder: Path, count: int, checkpoint: Path) -> None:
    """Print what `infer.py` takes as a user starts it, its start included."""
    print(f"{'infer.py, its start included':<52}{'wall s':>10} {'CPU s':>9} {'images/s':>9}")
    one = min(folder.iterdir())
    runs = (
        ("--help", 0, ["--help"]),
        ("one photograph, all files", 1, ["--images", str(one)]),
        (f"{count} photographs, all files", count, ["--images", str(folder)]),
        (f"{count} photographs, --formats npz", count, ["--images", str(folder), "--formats", "npz"]),
    )
    for title, images, options in runs:
        with tempfile.TemporaryDirectory() as output:
            placed = ["--output", output, "--device", "cpu", "--checkpoint", str(checkpoint)] if images else []
            cpu, started = _children_cpu_s(), time.perf_counter()
            command = [sys.executable, "infer.py", *options, *placed]
            subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
            wall = time.perf_counter() - started
            rate = f"{images / wall:>9.2f}" if images else ""
            print(f"{title:<52}{wall:>10.2f} {_children_cpu_s() - cpu:>9.2f} {rate}", flush=True)


def _children_cpu_s() -> float:
    """Seconds that finished programs took of all processors, since this one started."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Read the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photographs", type=Path, help="folder of photographs instead of the astronaut's variants")
    parser.add_argument("--count", type=int, default=200, help="photographs for infer.py")
    parser.add_argument("--checkpoint", type=Path, default=DEFAULT_CHECKPOINT, help="checkpoint folder")
    parser.add_argument("--threads", type=int, default=2, help="torch threads for the single steps")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{os.cpu_count()} processors, {arguments.threads} torch threads for single steps")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if arguments.photographs is None:
            write_variants(folder, arguments.count)
        else:
            for number, path in enumerate(find_images([arguments.photographs])[: arguments.count]):
                (folder / f"{number:04d}{path.suffix}").symlink_to(path.resolve())
        paths = sorted(folder.iterdir())
        benchmark_steps(paths, arguments.checkpoint)
        if find_spec("av") is None:
            print("no film is measured: the package av is missing")
        else:
            benchmark_video(paths, arguments.checkpoint)
        benchmark_program(folder, len(paths), arguments.checkpoint)


if __name__ == "__main__":
    main()

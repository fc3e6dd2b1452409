"""ICT-FaceKit's download becomes the file that the reader of its light model takes."""

from pathlib import Path

import pytest

from model.face.readers.ict import read_ict_facekit
from model.face.readers.ict_folder import pack
from tests.model.face.test_ict_folder import made_up_folder
from tools import pack_ict_facekit
from tools.pack_ict_facekit import main


def test_the_command_writes_what_the_reader_asks_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made_up_folder(tmp_path)
    monkeypatch.setattr(pack_ict_facekit, "pack", lambda source: pack(source, identity_count=2))
    output = tmp_path / "new" / "packed.npz"
    main(["--source", str(folder), "--output", str(output)])
    # The reader finds every key and only then misses the real model's vertices.
    with pytest.raises(ValueError, match="5 vertices"):
        read_ict_facekit(output)

from pathlib import Path

import pytest

from common import paths
from common.paths import CONFIG_FOLDER, shipped, tool_command


def test_what_the_user_has_comes_before_what_is_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    asked = Path("configs") / "refine.yaml"
    assert shipped(asked) == CONFIG_FOLDER / "refine.yaml"
    asked.parent.mkdir()
    asked.write_text("window_px: 64")
    assert shipped(asked) == asked
    # What nobody has is named as the user wrote it.
    assert shipped(Path("configs") / "absent.yaml") == Path("configs") / "absent.yaml"


def test_only_a_clone_has_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tool_command("build_hierarchy") == "python -m tools.build_hierarchy"
    monkeypatch.setattr(paths, "IN_A_CLONE", False)
    assert tool_command("learn_albedo", "--skins") == "python -m tools.learn_albedo --skins, in a clone of Likeness"

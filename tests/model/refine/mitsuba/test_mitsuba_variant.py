"""Only an LLVM that does not end the process is ever chosen."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from model.refine.mitsuba import variant as variant_module
from model.refine.mitsuba.variant import (
    LEAST_LLVM,
    LLVM_VARIABLE,
    find_llvm,
    first_suitable,
    loaded_version,
    named_version,
    why_unavailable,
)


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    find_llvm.cache_clear()
    why_unavailable.cache_clear()
    yield
    find_llvm.cache_clear()
    why_unavailable.cache_clear()


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("/usr/lib/x86_64-linux-gnu/libLLVM.so.19.1", 19),
        ("/usr/lib/x86_64-linux-gnu/libLLVM-15.so.1", 15),
        ("/usr/lib/x86_64-linux-gnu/libLLVM-14.0.6.so.1", 14),
        ("/usr/lib/llvm-16/lib/libLLVM.so", 16),
        ("/opt/homebrew/opt/llvm@20/lib/libLLVM.dylib", 20),
        ("/opt/homebrew/opt/llvm/lib/libLLVM.dylib", None),
        ("/usr/lib64/libLLVM.so", None),
    ],
)
def test_versions_are_read_from_names(path: str, version: int | None) -> None:
    assert named_version(Path(path)) == version


def test_a_library_that_calls_itself_too_old_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def version(library: Path) -> int:
        opened.append(library.name)
        return 19

    monkeypatch.setattr(variant_module, "loaded_version", version)
    libraries = [Path("/x/libLLVM-15.so.1"), Path("/x/libLLVM-16.so.1"), Path("/x/libLLVM.so.19.1")]
    assert first_suitable(libraries) == libraries[2]
    assert opened == ["libLLVM.so.19.1"]


def test_what_a_library_answers_counts_and_not_what_its_name_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"libLLVM.so": 16, "libLLVM-20.so": 15, "libLLVM-21.so": None, "libLLVM.dylib": 20}
    monkeypatch.setattr(variant_module, "loaded_version", lambda library: answers[library.name])
    libraries = [Path("/x") / name for name in answers]
    assert first_suitable(libraries) == libraries[3]
    assert first_suitable(libraries[:3]) is None


def test_the_users_choice_comes_first_but_not_if_it_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"libLLVM.so.19.1": 19, "mine.so": 21, "old.so": 15}
    monkeypatch.setattr(variant_module, "loaded_version", lambda library: answers[library.name])
    monkeypatch.setattr(variant_module, "installed_libraries", lambda: [Path("/x/libLLVM.so.19.1")])
    monkeypatch.setenv(LLVM_VARIABLE, "/x/mine.so")
    assert find_llvm() == Path("/x/mine.so")
    find_llvm.cache_clear()
    monkeypatch.setenv(LLVM_VARIABLE, "/x/old.so")
    assert find_llvm() == Path("/x/libLLVM.so.19.1")


def test_without_llvm_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variant_module, "find_spec", lambda name: object())
    monkeypatch.setattr(variant_module, "installed_libraries", list)
    monkeypatch.delenv(LLVM_VARIABLE, raising=False)
    reason = why_unavailable()
    assert reason is not None
    assert "\n" not in reason
    for word in ("apt install libllvm19", "brew install llvm", "conda-forge", LLVM_VARIABLE):
        assert word in reason


def test_without_mitsuba_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variant_module, "find_spec", lambda name: None)
    assert why_unavailable() == "path-traced pictures need Mitsuba: pip install mitsuba"


def test_what_is_no_library_has_no_version(tmp_path: Path) -> None:
    (tmp_path / "libLLVM.so").write_text("not a library")
    assert loaded_version(tmp_path / "libLLVM.so") is None
    assert loaded_version(tmp_path / "missing.so") is None


def test_the_library_chosen_here_is_new_enough() -> None:
    library = find_llvm()
    if library is None:
        pytest.skip(why_unavailable() or "no LLVM")
    assert (loaded_version(library) or 0) >= LEAST_LLVM

from pathlib import Path

import pytest

from common.atomic import atomic_path
from common.places import UPath, files_below, place_of, read_part, remove, send, sizes, stamp


def elsewhere(address: str) -> UPath:
    place = place_of(address)
    assert not isinstance(place, Path)
    return place


def test_paths_and_file_addresses_are_of_this_machine(tmp_path: Path) -> None:
    assert place_of("a/b.jpg") == Path("a/b.jpg")
    assert place_of(f"file://{tmp_path}/a%20b.jpg") == tmp_path / "a b.jpg"
    assert place_of(r"C:\photos") == Path(r"C:\photos")


def test_addresses_that_nobody_can_read_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^nowhere://bucket/a: .*nowhere"):
        place_of("nowhere://bucket/a")
    with pytest.raises(ValueError, match=r"^s3://bucket/a: Install s3fs"):
        place_of("s3://bucket/a")


def test_files_are_sent_listed_read_in_part_and_removed(tmp_path: Path) -> None:
    there = elsewhere("memory://places/out")
    (tmp_path / "a").write_bytes(b"0123456789")
    send([(tmp_path / "a", there / "sub/a"), (tmp_path / "a", there / "b")])
    assert [str(path) for path in files_below(there)] == ["memory://places/out/b", "memory://places/out/sub/a"]
    assert read_part(there / "sub/a", 2, 3) == b"234"
    assert read_part(there / "b", 7) == b"789"
    assert sizes(there) == {"b": 10}
    assert sizes(there / "none") == {}
    remove([there / "b"])
    assert [path.name for path in files_below(there)] == ["a"]


def test_a_changed_file_has_another_stamp(tmp_path: Path) -> None:
    there = place_of("memory://stamps/a")
    there.write_bytes(b"one")
    first = stamp(there)
    assert stamp(there) == first
    there.write_bytes(b"two")
    assert stamp(there) != first
    with pytest.raises(OSError, match="no such file or folder: 'memory://stamps/none'"):
        stamp(place_of("memory://stamps/none"))


def test_a_file_elsewhere_appears_whole_or_not_at_all() -> None:
    there = place_of("memory://atomic/report.json")
    with pytest.raises(FileNotFoundError), atomic_path(there) as temporary:
        temporary.unlink()
    assert not there.exists()
    with atomic_path(there) as temporary:
        assert temporary.suffix == ".json"
        temporary.write_text("whole")
    assert there.read_text() == "whole"

import json
from dataclasses import asdict
from pathlib import Path

from inference.report import REPORT_FORMAT, FaceEntry, ImageEntry, entry_from_dict, write_report

FACE = FaceEntry("a.jpg/face0", (1.0, 2.0, 3.0, 4.0), 0.9, (10.0, 0.0, -5.0), {"face.npz": (3, 4)}, confidence=0.8)


def test_a_report_is_one_json_with_all_entries_in_their_order(tmp_path: Path) -> None:
    entries = [
        ImageEntry("in/a.jpg", "a.jpg", "ok", "", (FACE,), 0.5),
        ImageEntry('in/"b"\n.jpg', "b.jpg", "no_face", "no face\nwas found", (), 0.1),
    ]
    for count in range(3):
        write_report(tmp_path, entries[:count], options={"images": ["in"]}, checkpoint_sha256="abc", seconds=2.0)
        text = (tmp_path / "report.json").read_text(encoding="utf-8")
        report = json.loads(text)
        assert report["format"] == REPORT_FORMAT
        assert report["versions"]["checkpoint_sha256"] == "abc"
        assert report["counts"] == {entry.status: 1 for entry in entries[:count]}
        assert [entry_from_dict(entry) for entry in report["entries"]] == entries[:count]
        # Laid out as if it had been written at once.
        whole = report | {"entries": [asdict(entry) for entry in entries[:count]]}
        assert text == json.dumps(whole, indent=1) + "\n"

"""Flip one bit after another in every file of a gallery: ``gallery check`` finds it, or it changes nothing.

    python tools/sweep_gallery.py --stride 1 --report sweep.json

Three files are damaged, each of a gallery of twenty people with two templates each: the database, the index, and the
log that a killed writer leaves. After each flip the gallery is checked; where no fault is found, all that it holds and
answers must be what it was. Prints one JSON object. No weights and no photographs are needed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "gallery"))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from galleries import PIN, fill, new, units

from facecli.errors import FacecliError
from facecli.gallery import Gallery, index
from facecli.gallery.check import LOG, check
from facecli.gallery.database import DATABASE


def everything(folder: Path) -> object:
    """Return all that a gallery holds and answers, or why it refuses."""
    try:
        with Gallery.open(folder, wait_s=1) as gallery:
            people = gallery.people()
            rows = [
                (p.name, t.id, t.vector.tobytes(), t.source, t.source_sha256, t.quality, t.enrolled_at)
                for p in people
                for t in gallery.templates(p.name)
            ]
            found = gallery.search(units(5, 5), 3)
            return gallery.id, gallery.pin, gallery.count(), gallery.calibration(), people, rows, found
    except FacecliError as error:
        return error.message


def made(folder: Path) -> None:
    """Make a gallery with an index, and with changes that are only in the log."""
    index.SMALL, index.TAIL = 0, 3
    with Gallery.create(folder / "live", PIN) as gallery:
        fill(gallery, 20, each=2)
        gallery.search(units(1, 1), 1)
    with Gallery.open(folder / "live", writable=True) as gallery:
        gallery.enrol("late", [new(vector) for vector in units(7, 3)])
        gallery.rename("person 1", "Ada")
        folder.joinpath("crashed").mkdir(mode=0o700)
        for name in (DATABASE, LOG, index.INDEX):
            shutil.copy(folder / "live" / name, folder / "crashed" / name)


def swept(folder: Path, name: str, *, stride: int, until: float) -> Counter[str]:
    """Flip a bit of every ``stride``-th byte of one file."""
    expected, counts = everything(folder), Counter[str]()
    kept = {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.endswith("-shm")}
    for offset in range(0, len(kept[name]), stride):
        if time.monotonic() > until:
            counts["cut short"] = 1
            break
        data = bytearray(kept[name])
        data[offset] ^= 1 << (offset // stride) % 8
        folder.joinpath(name).write_bytes(data)
        if check(folder, wait_s=1).faults:
            counts["found"] += 1
        elif everything(folder) == expected:
            counts["harmless"] += 1
        else:
            counts["MISSED"] += 1
            print(f"missed: {name}, byte {offset}", file=sys.stderr)
        for path in folder.iterdir():
            if path.name not in kept:
                path.unlink()
        for other, content in kept.items():
            if other == name or folder.joinpath(other).read_bytes() != content:
                folder.joinpath(other).write_bytes(content)
    return counts


def main() -> int:
    """Sweep and report; 1 where a flip was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stride", type=int, default=1, help="flip a bit of every so manieth byte")
    parser.add_argument("--minutes", type=float, default=600)
    parser.add_argument("--folder", type=Path, default=None, help="where to work: a disk, or a file system in memory")
    parser.add_argument("--report", type=Path, default=None)
    options = parser.parse_args()
    until = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory(dir=options.folder) as base:
        folder = Path(base)
        made(folder)
        places = (("crashed", LOG), ("live", index.INDEX), ("live", DATABASE))
        told = {name: dict(swept(folder / where, name, stride=options.stride, until=until)) for where, name in places}
    text = json.dumps({"stride": options.stride, **told})
    print(text)
    if options.report:
        options.report.write_text(text + "\n")
    return int(any("MISSED" in counts for counts in told.values()))


if __name__ == "__main__":
    sys.exit(main())

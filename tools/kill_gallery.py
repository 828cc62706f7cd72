"""Kill processes at random moments of everything that changes a gallery, and see that nothing acknowledged is lost.

    python tools/kill_gallery.py --kills 10000 --report kills.json

A child is forked that enrols, renames, removes, imports, compacts, restores and searches, and says after each change
that it is done. It gets SIGKILL at a random moment. Then: the gallery opens, what was acknowledged is there, at most
the change under way is there besides, whole, ``gallery check`` finds nothing but an unfinished log or leftovers, and
after a repair nothing at all. Prints one JSON object. Linux only; no weights and no photographs are needed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import faiss  # noqa: F401 (imported before the first fork)
import numpy as np

from facecli.gallery import Gallery, NewTemplate, index, transfer
from facecli.gallery.check import check
from facecli.gallery.repair import repair
from facecli.gallery.snapshot import compact, restore, snapshot
from facecli.types import ModelPin, Quality

DIMENSION = 16
PIN = ModelPin("fake", "0" * 64, "none-1", "1" * 64, DIMENSION)
CHANGES = ("enrol", "remove", "rename", "import", "compact", "restore")
MOST_PEOPLE = 30
PASSABLE = {"log", "leftover"}
"""Kinds of faults that a kill may leave: repair clears them, and nothing acknowledged was in them."""

State = dict[str, int]
"""Name of a person -> the number from which his templates are drawn."""


def vectors_of(number: int) -> np.ndarray:
    """Return the two templates of a number."""
    drawn = np.random.default_rng(number).standard_normal((2, DIMENSION)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def new(number: int) -> list[NewTemplate]:
    """Return the templates of a number as they are enrolled."""
    return [NewTemplate(v, f"{number}.jpg", "2" * 64, Quality(0.9, 60.0, 0.0, 0.1)) for v in vectors_of(number)]


class Child:
    """What is killed: it changes the gallery until it is."""

    def __init__(self, base: Path, seed: int, state: State, told: int) -> None:
        self.folder, self.copy = base / "gallery", base / "copy"
        self.luck = random.Random(seed)  # noqa: S311
        self.state, self.told, self.base = state, told, base
        self.next = seed * 1000

    def say(self, *words: object) -> None:
        """Tell the parent: what begins, and what is acknowledged."""
        os.write(self.told, (json.dumps(words) + "\n").encode())

    def run(self, only: str | None) -> None:
        """Change the gallery, again and again."""
        while True:
            what = only if only and self.luck.random() < 0.6 else self.luck.choice(CHANGES)
            if what in {"remove", "rename"} and not self.state:
                what = "enrol"
            if len(self.state) > MOST_PEOPLE:
                what = "remove"
            after = getattr(self, what.replace("import", "import_"))()
            if after is not None:
                self.state = after
                self.say("done", what, self.state)
            if self.luck.random() < 0.3:
                with Gallery.open(self.folder) as gallery:
                    gallery.search(vectors_of(1), 3)

    def enrol(self) -> State:
        """Enrol someone new."""
        self.next += 1
        after = {**self.state, f"p{self.next}": self.next}
        self.say("begin", "enrol", [after])
        with Gallery.open(self.folder, writable=True) as gallery:
            gallery.enrol(f"p{self.next}", new(self.next))
        return after

    def remove(self) -> State:
        """Remove someone."""
        name = self.luck.choice(sorted(self.state))
        after = {key: value for key, value in self.state.items() if key != name}
        self.say("begin", "remove", [after])
        with Gallery.open(self.folder, writable=True) as gallery:
            gallery.remove(name)
        return after

    def rename(self) -> State:
        """Rename someone."""
        name = self.luck.choice(sorted(self.state))
        self.next += 1
        after = {(f"r{self.next}" if key == name else key): value for key, value in self.state.items()}
        self.say("begin", "rename", [after])
        with Gallery.open(self.folder, writable=True) as gallery:
            gallery.rename(name, f"r{self.next}")
        return after

    def import_(self) -> State:
        """Import six people, two at a time: any number of whole batches may be there after a kill."""
        transfer.PEOPLE_AT_ONCE = 2
        people = {f"i{self.next + n:09}": self.next + n for n in range(1, 7)}
        self.next += 6
        with tempfile.TemporaryDirectory(dir=self.base) as where:
            with Gallery.create(Path(where) / "g", PIN) as gallery:
                for name, number in people.items():
                    gallery.enrol(name, new(number))
            stream = io.BytesIO()
            transfer.export(Path(where) / "g", stream, wait_s=10)
        names = sorted(people)
        steps = [{**self.state, **{name: people[name] for name in names[:count]}} for count in (2, 4, 6)]
        self.say("begin", "import", steps)
        transfer.import_(self.folder, transfer.Source(stream, "file"), wait_s=10)
        return steps[-1]

    def compact(self) -> State:
        """Compact."""
        self.say("begin", "compact", [])
        compact(self.folder, wait_s=10)
        return self.state

    def restore(self) -> State:
        """Take a snapshot, change something, and put the snapshot back."""
        before = self.state
        self.say("begin", "snapshot", [])
        snapshot(self.folder, self.copy, wait_s=10, force=True)
        self.state = self.enrol()
        self.say("done", "enrol", self.state)
        self.say("begin", "restore", [before])
        restore(self.copy, self.folder, wait_s=10, force=True)
        return before


def round_of(base: Path, seed: int, state: State, *, only: str | None, longest_s: float) -> tuple[State, str, int]:
    """Fork, kill, and judge; return the state now, what was under way, and how many changes were acknowledged."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.close(reader)
            Child(base, seed, state, writer).run(only)
        os._exit(70)
    os.close(writer)
    time.sleep(random.Random(seed).uniform(0, longest_s))  # noqa: S311
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
        raise SystemExit(f"seed {seed}: the child ended by itself")
    with os.fdopen(reader, "rb") as told:
        lines = [json.loads(line) for line in told if line.endswith(b"\n")]
    allowed, under_way, acknowledged = [state], "nothing", 0
    for word, what, value in lines:
        if word == "begin":
            allowed, under_way = [allowed[0], *value], what
        else:
            allowed, under_way, acknowledged = [value], "nothing", acknowledged + 1
    return judged(base, allowed, f"seed {seed}, {under_way}"), under_way, acknowledged


def judged(base: Path, allowed: list[State], where: str) -> State:
    """See that the gallery is one of the states that it may be in, and sound."""
    folder = base / "gallery"
    faults = check(folder, wait_s=10).faults
    if bad := [fault for fault in faults if fault.kind not in PASSABLE]:
        raise SystemExit(f"{where}: {bad}")
    if faults:
        repair(folder, check(folder, wait_s=10), wait_s=10)
        if left := check(folder, wait_s=10).faults:
            raise SystemExit(f"{where}: not repaired: {left}")
    with Gallery.open(folder, writable=True) as gallery:
        names = {person.name for person in gallery.people()}
        now = next((state for state in allowed if set(state) == names), None)
        if now is None:
            raise SystemExit(f"{where}: {sorted(names)} is none of {[sorted(state) for state in allowed]}")
        for name, number in now.items():
            expected = vectors_of(number)
            if [t.vector.tobytes() for t in gallery.templates(name)] != [v.tobytes() for v in expected]:
                raise SystemExit(f"{where}: {name} is not whole")
        if now:
            some = sorted(now)[:: max(1, len(now) // 5)]
            found = gallery.search(np.stack([vectors_of(now[name])[0] for name in some]), 1)
            if [best[0].person.name for best in found] != some:
                raise SystemExit(f"{where}: the search does not find who is there")
    for leftover in base.glob("tmp*"):
        shutil.rmtree(leftover, ignore_errors=True)
    for leftover in base.glob(".copy.*"):
        leftover.unlink()
    return now


def run(base: Path, kills: int, *, only: str | None = None, seed: int = 1, longest_s: float = 0.25) -> Counter[str]:
    """Kill so often; return how many kills hit what, and how many changes had been acknowledged."""
    index.SMALL, index.TAIL = 0, 3  # FAISS and the index's file from the start
    Gallery.create(base / "gallery", PIN).close()
    state: State = {}
    hits: Counter[str] = Counter()
    for number in range(kills):
        state, under_way, done = round_of(base, seed * 100_000 + number, state, only=only, longest_s=longest_s)
        hits[under_way] += 1
        hits["acknowledged"] += done
    return hits


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=CHANGES, help="mostly this change")
    parser.add_argument("--longest", type=float, default=0.25, help="seconds until the kill, at the most")
    parser.add_argument("--folder", type=Path, default=None, help="where to work: a disk, or a file system in memory")
    parser.add_argument("--report", type=Path, default=None)
    options = parser.parse_args()
    total: Counter[str] = Counter()
    until = time.monotonic() + 60 * options.minutes
    left, batch, told = options.kills, 0, ""
    while left > 0 and time.monotonic() < until:
        some, batch = min(left, 100), batch + 1
        with tempfile.TemporaryDirectory(dir=options.folder) as base:
            chosen = {"only": options.only, "longest_s": options.longest}
            total += run(Path(base), some, seed=options.seed * 1000 + batch, **chosen)
        left -= some
        told = json.dumps({"kills": options.kills - left, "lost": 0, "hit": dict(total)})
        if options.report:
            options.report.write_text(told + "\n")
    print(told)


if __name__ == "__main__":
    main()

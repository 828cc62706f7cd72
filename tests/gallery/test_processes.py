"""Many processes at one gallery, and processes that are killed: nothing acknowledged is lost."""

import multiprocessing
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from galleries import PIN, new, units

import facecli
from facecli.gallery import Gallery, index

WRITERS, EACH = 8, 25

SPAWN = multiprocessing.get_context("spawn")


def write(folder, writer):
    """Enrol a number of people, a template each, opening the gallery anew now and then."""
    index.SMALL, index.TAIL = 0, 3  # FAISS and its file from the start
    vectors = units(writer, EACH)
    for start in range(0, EACH, 5):
        with Gallery.create(folder, PIN, exist_ok=True, wait_s=60) as gallery:
            for number in range(start, start + 5):
                gallery.enrol(f"{writer} {number}", [new(vectors[number])])
            gallery.search(vectors, 3)


def read(folder, stop, problems):
    """Search over and over; whoever was there once stays there."""
    index.SMALL, index.TAIL = 0, 3
    before = 0
    while not stop.is_set():
        with Gallery.open(folder, wait_s=60) as gallery, gallery.snapshot():
            people, templates = gallery.count()
            found = len(gallery.search(units(99, 1), 1000)[0])
            if not before <= people == templates == found:
                problems.put((before, people, templates, found))
            before = people


def test_many_writers_and_readers_lose_nothing(folder):
    Gallery.create(folder, PIN).close()
    stop, problems = SPAWN.Event(), SPAWN.Queue()
    writers = [SPAWN.Process(target=write, args=(folder, number)) for number in range(WRITERS)]
    readers = [SPAWN.Process(target=read, args=(folder, stop, problems)) for _ in range(2)]
    for process in writers + readers:
        process.start()
    for process in writers:
        process.join()
    stop.set()
    for process in readers:
        process.join()
    assert [process.exitcode for process in writers + readers] == [0] * (WRITERS + 2)
    assert problems.empty()
    with Gallery.open(folder) as gallery:
        assert gallery.count() == (WRITERS * EACH, WRITERS * EACH)
        assert gallery.generation == 1 + WRITERS * EACH
        for writer in range(WRITERS):
            for number, vector in enumerate(units(writer, EACH)):
                assert gallery.search(vector[None], 1)[0][0].person.name == f"{writer} {number}"


def test_many_processes_make_one_gallery(folder):
    processes = [SPAWN.Process(target=write, args=(folder, number)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    with Gallery.open(folder) as gallery:
        assert gallery.count() == (4 * EACH, 4 * EACH)


VICTIM = """
import sys
from pathlib import Path
import faiss, filelock
from galleries import PIN, new, units
from facecli.gallery import Gallery, index
index.SMALL, index.TAIL = 0, 3
number = start = int(sys.argv[2])
print("start", flush=True)
while True:
    with Gallery.create(Path(sys.argv[1]), PIN, exist_ok=True) as gallery:
        for _ in range(4):
            gallery.enrol(f"person {number}", [new(vector) for vector in units(number, 2)])
            print("enrolled", number, flush=True)
            gallery.search(units(number, 1), 2)
            if number % 5 == 4 and number > start:
                gallery.remove(f"person {number - 1}")
                print("removed", number - 1, flush=True)
            number += 1
"""


def killed_once(folder, start, lines, delay_s):
    """Run the victim, kill it a moment after some acknowledgements, and return all that it had acknowledged."""
    paths = [str(Path(facecli.__path__[0]).parent), str(Path(__file__).parent)]
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM, folder, str(start)],
        env={"PYTHONPATH": ":".join(paths), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    with victim:
        assert victim.stdout.readline() == "start\n"
        acknowledged = [victim.stdout.readline() for _ in range(lines)]
        time.sleep(delay_s)
        victim.send_signal(signal.SIGKILL)
        acknowledged += victim.stdout.readlines()
    assert victim.returncode == -signal.SIGKILL
    return [line.split() for line in acknowledged if line.endswith("\n")]


@pytest.mark.parametrize("round_", range(3))
def test_nothing_acknowledged_is_lost_when_killed(folder, round_, monkeypatch):
    monkeypatch.setattr("facecli.gallery.index.SMALL", 0)
    randomly = random.Random(round_)  # noqa: S311
    there, undecided, number = set(), set(), 0
    for _ in range(8):
        lines = killed_once(folder, number, randomly.choice([0, 1, 2, 5, 9]), randomly.uniform(0.0, 0.02))
        for what, which in lines:
            (there.add if what == "enrolled" else there.discard)(f"person {which}")
        last = max([int(which) for _, which in lines], default=number - 1)
        undecided = {f"person {last}", f"person {last + 1}", f"person {last - 1}"}
        number = last + 2
        if not (folder / "gallery.db").exists():
            assert not there
            continue
        with Gallery.open(folder, writable=True) as gallery:
            gallery.enrol("witness", [new(units(10**6, 1)[0])])
            gallery.remove("witness")
            people = gallery.people()
            names = {person.name for person in people}
            assert names - undecided == there - undecided
            assert all(f"person {which}" in names for what, which in lines[-1:] if what == "enrolled")
            assert all(person.templates == 2 for person in people)
            for person in people:
                expected = units(int(person.name.split()[1]), 2)
                assert gallery.search(expected[:1], 1)[0][0].person == person
        there = names
        assert not list(folder.glob(".*.part*"))  # what the killed one left half written
    assert len(there) > 5

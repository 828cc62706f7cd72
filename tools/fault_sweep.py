"""Fail one system call at a time under commands that must refuse, and count what comes out.

The promise (S1): whatever fails, ``verify`` of two different people, ``identify`` of a stranger and ``enroll`` of
someone who is enrolled already under another name never end in 0; and 1 is a decision, so it stands beside an answer.

    python tools/fault_sweep.py --photographs .photographs --minutes 20 --mode forked
    python tools/fault_sweep.py --photographs .photographs --minutes 20 --mode cold

``cold`` starts a new interpreter for each fault, so that faults hit its start, the imports and its end; ``forked``
imports everything once and forks for each fault, which is several times as fast and hits only the work itself. Both
leave the failing to ``strace -e inject``; Linux only. Both need the weights in the cache and the demo's photographs;
``fakes`` is ``forked`` on fake networks and drawn photographs, several times as fast again, and needs neither.

It prints one JSON object: faults run, outcomes by status, and every violation with what brings it back.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

ERRORS = ("EIO", "ENOSPC", "ENOMEM", "EACCES")
CALLS = frozenset(  # a word list reads better than 45 quoted strings
    """
    openat read pread64 write pwrite64 close lseek newfstatat stat lstat fstat access readlink getdents64 fcntl ioctl
    mmap mprotect munmap mremap brk madvise clone3 futex getrandom dup dup2 chmod fchmod fchown ftruncate fsync
    fdatasync rename unlink mkdir rmdir flock getcwd sched_getaffinity uname sysinfo
    """.split()  # noqa: SIM905
)
SIGNALS = ("SIGKILL", "SIGTERM", "SIGINT")
MOST_OF_ONE_CALL = 160
"""Of a call that is made thousands of times (mprotect, futex), so many are failed, evenly spread."""
LIMIT_S = 40.0


@dataclass(frozen=True)
class Case:
    """A command that must not end in 0."""

    name: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Fault:
    """What goes wrong: the ``when``-th time a call is made it fails, or a signal comes."""

    call: str
    what: str
    when: int

    @property
    def spec(self) -> str:
        """As strace spells it."""
        return f"inject={self.call}:{self.what}:when={self.when}"


@dataclass
class Report:
    """What came out."""

    mode: str
    faults: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    python_start: int = 0
    violations: list[dict[str, object]] = field(default_factory=list)

    def told(self) -> str:
        """Return it as JSON."""
        return json.dumps(
            {
                "mode": self.mode,
                "faults": self.faults,
                "outcomes": dict(sorted(self.outcomes.items())),
                "calls": dict(self.calls.most_common()),
                "python_could_not_start": self.python_start,
                "violations": self.violations,
            },
            indent=1,
        )


def main() -> None:
    """Run the sweep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photographs", type=Path, default=Path(".photographs"))
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--mode", choices=["cold", "forked", "fakes"], default="forked")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threshold", default="0.4")
    parser.add_argument("--report", type=Path, default=None)
    options = parser.parse_args()
    photographs = options.photographs.resolve()
    with tempfile.TemporaryDirectory() as folder:
        sweep(options, photographs, Path(folder))


def sweep(options: argparse.Namespace, photographs: Path, folder: Path) -> None:
    """Enrol two people, then fail calls until the time is over."""
    gallery = folder / "gallery"
    os.environ.update(FACECLI_GALLERY=str(gallery), FACECLI_OFFLINE="true", OPENBLAS_NUM_THREADS="1")
    runner = Cold(folder) if options.mode == "cold" else Forked(folder)
    if options.mode == "fakes":
        photographs, options.threshold = with_fakes(folder), "0.9"
    for name, photo in (("photo", "person_a_1.jpg"), ("other", "impostor_1.jpg")):
        words = ("enroll", "--threshold", options.threshold, name, str(photographs / photo))
        if runner.run(Case("enrolment", words), None)[0] != 0:
            raise SystemExit(f"{photo} can't be enrolled")
    shutil.copytree(gallery, folder / "pristine")
    cases = cases_of(photographs, options.threshold)
    report = Report(options.mode)
    plan = planned(runner, cases, options.seed)
    print(f"{len(plan)} faults planned", file=sys.stderr)
    until = time.monotonic() + 60 * options.minutes
    truth = dump(gallery)
    for case, fault in plan:
        if time.monotonic() > until:
            break
        status, out, err = runner.run(case, fault)
        judge(report, case, fault, (status, out, err))
        now = dump(gallery)
        if now != truth:
            report.violations.append({"case": case.name, "fault": fault.spec, "why": f"the gallery changed: {now}"})
            shutil.rmtree(gallery)
            shutil.copytree(folder / "pristine", gallery)
        if options.report is not None and report.faults % 25 == 0:
            options.report.write_text(report.told())
    print(report.told())
    if options.report is not None:
        options.report.write_text(report.told())


def with_fakes(folder: Path) -> Path:
    """Put fake networks into this process's engine, and draw their people under the photographs' names."""
    import facecli.engine
    from tests.fakes import FakeEngine, photo

    facecli.engine.Engine = FakeEngine  # type: ignore[misc]
    people = {"person_a_1.jpg": 1, "person_a_2.jpg": 1, "person_b_1.jpg": 2, "impostor_1.jpg": 3}
    for name, person in people.items():
        Path(photo(folder, f"{name}.png", person, noise=name.endswith("2.jpg") * 2.0)).rename(folder / name)
    return folder


def cases_of(photographs: Path, threshold: str) -> list[Case]:
    """Return the commands that must refuse."""
    a, b, again = (str(photographs / name) for name in ("person_a_1.jpg", "person_b_1.jpg", "person_a_2.jpg"))
    common = ("--json", "--threshold", threshold)
    return [
        Case("verify", ("verify", *common, "--", a, b)),
        Case("identify", ("identify", *common, "--", b)),
        Case("verify-as", ("verify", *common, "--as", "photo", "--", b)),
        Case("enroll", ("enroll", *common, "mallory", again)),
    ]


def planned(runner: Cold | Forked, cases: list[Case], seed: int) -> list[tuple[Case, Fault]]:
    """Count the calls of each command and spread faults over them, in an order that a stop at any time leaves fair."""
    plan = []
    for case in cases:
        status, *_ = runner.run(case, None)
        if status != 1:
            raise SystemExit(f"{case.name} ended in {status} without any fault; 1 was expected")
        for call, count in runner.counted(case).items():
            step = max(1, count // MOST_OF_ONE_CALL)
            whens = range(1, count + 1, step)
            luck = random.Random(f"{seed}{case.name}{call}")  # noqa: S311
            for when in whens:
                what = luck.choice([*(f"error={e}" for e in ERRORS), *(f"signal={s}" for s in SIGNALS)])
                if what.startswith("error") or luck.random() < 0.6:
                    plan.append((case, Fault(call, what, when)))
    random.Random(seed).shuffle(plan)  # noqa: S311
    return plan


def judge(report: Report, case: Case, fault: Fault, result: tuple[int, str, str]) -> None:
    """Hold one outcome against the contract."""
    status, out, err = result
    report.faults += 1
    report.calls[fault.call] += 1
    report.outcomes[f"{case.name} {status}"] += 1
    why = ""
    started = "facecli" in err or out
    if status == 0:
        why = "ACCEPTED"
    elif status == 1 and not decided(out):
        if "Fatal Python error" in err or not started or "runpy" in err or "importlib" in err.split("facecli")[0]:
            report.python_start += 1
        else:
            why = "1 without a decision"
    elif status == 120:
        why = "Python's own shutdown changed the status"
    elif status == 70:
        why = "internal error"
    elif status == 124:
        why = "hung"
    if not why and "Traceback" in err and status != 1:
        why = "traceback"
    if why:
        told = {"case": case.name, "fault": fault.spec, "status": status, "why": why}
        report.violations.append({**told, "err": err[-900:], "out": out[-200:]})


def decided(out: str) -> bool:
    """Say whether the output carries a decision of no."""
    try:
        told = json.loads(out.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return False
    refused = told.get("error", {}).get("kind") == "enrolment-refused"
    return told["status"] == 1 and (refused or (told["accepted"] is False and told["score"] is not None))


def dump(gallery: Path) -> str:
    """Return all that a gallery holds; a gallery that can't be read returns why."""
    from facecli.errors import FacecliError
    from facecli.gallery import Gallery

    try:
        with Gallery.open(gallery) as opened:
            return repr([(p.name, [t.vector.tobytes() for t in opened.templates(p.name)]) for p in opened.people()])
    except FacecliError as error:
        return repr(error)


def counts_in(text: str) -> dict[str, int]:
    """Read the table that ``strace -c`` writes."""
    found = re.findall(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", text, re.MULTILINE)
    return {call: int(count) for count, call in found if call in CALLS}


class Cold:
    """A new interpreter for each fault."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def counted(self, case: Case) -> dict[str, int]:
        """Count the calls of a run without a fault."""
        table = self.folder / "counts"
        self._strace(case, ["-c", "-o", str(table)])
        return counts_in(table.read_text())

    def run(self, case: Case, fault: Fault | None) -> tuple[int, str, str]:
        """Run a command under a fault; return its status, output and errors."""
        if fault is None:
            return self._strace(case, ["-e", "trace=none"])
        return self._strace(case, ["--seccomp-bpf", "-e", f"trace={fault.call}", "-e", fault.spec])

    def _strace(self, case: Case, options: list[str]) -> tuple[int, str, str]:
        out = [] if "-o" in options else ["-o", "/dev/null"]
        command = ["strace", "-f", "-qq", *out, *options, sys.executable, "-m", "facecli", *case.arguments]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True
        ) as process:
            try:
                told, errors = process.communicate(timeout=LIMIT_S)
                status = process.returncode
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                told, errors = process.communicate()
                status = 124
        return status, told.decode(errors="replace"), errors.decode(errors="replace")


class Forked:
    """Everything imported once; a fork of this process for each fault."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        import faiss  # noqa: F401
        import numpy as np  # noqa: F401

        import facecli.cli.enroll
        import facecli.cli.identify
        import facecli.cli.verify
        import facecli.engine
        import facecli.gallery
        import facecli.pipeline  # noqa: F401
        from facecli.opencv import load_cv2
        from facecli.runtime import RuntimeOptions

        load_cv2()
        RuntimeOptions()
        import onnxruntime  # noqa: F401

    def counted(self, case: Case) -> dict[str, int]:
        """Count the calls of a run without a fault."""
        table = self.folder / "counts"
        self._fork(case, ["-c", "-o", str(table)])
        return counts_in(table.read_text())

    def run(self, case: Case, fault: Fault | None) -> tuple[int, str, str]:
        """Run a command under a fault; return its status, output and errors."""
        options = ["-e", "trace=none"] if fault is None else ["-e", f"trace={fault.call}", "-e", fault.spec]
        return self._fork(case, ["-o", "/dev/null", *options])

    def _fork(self, case: Case, options: list[str]) -> tuple[int, str, str]:
        reader, writer = os.pipe()
        out, err = self.folder / "out", self.folder / "err"
        child = os.fork()
        if child == 0:
            try:
                os.close(writer)
                self._work(case, reader, out, err)
            finally:
                os._exit(130)  # interrupted outside of its work; what is here is the parent's
        os.close(reader)
        tracer = subprocess.Popen(["strace", "-f", "-qq", *options, "-p", str(child)], stderr=subprocess.DEVNULL)
        while "TracerPid:\t0" in Path(f"/proc/{child}/status").read_text() and tracer.poll() is None:
            time.sleep(0.001)
        os.write(writer, b".")
        os.close(writer)
        status = self._wait(child)
        with contextlib.suppress(subprocess.TimeoutExpired):
            tracer.wait(10)
        return status, out.read_text(errors="replace"), err.read_text(errors="replace")

    @staticmethod
    def _work(case: Case, go: int, out: Path, err: Path) -> None:
        """Wait to be traced, do the work, and leave without a look back: everything here is the parent's.

        Nor may the interpreter shut down: onnxruntime has threads, which a fork lacks and its end would miss.
        """
        from facecli.cli._root import run

        status = 130  # of an interruption outside of run()
        try:
            for handle, path in ((1, out), (2, err)):
                os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), handle)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.read(go, 1)
            status = run(case.arguments)
        finally:
            os._exit(status)

    def _wait(self, child: int) -> int:
        until = time.monotonic() + LIMIT_S
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > until:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                return 124
            time.sleep(0.002)


if __name__ == "__main__":
    main()

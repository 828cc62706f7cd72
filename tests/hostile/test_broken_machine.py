"""A machine that is full, broken or half set up: each a sentence and a status, and 1 only ever a decision."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time

import pytest

from tests.hostile.conftest import ROOT, assert_one_sentence, assert_refused, start, start_python

LIBGL = "libGL.so.1: cannot open shared object file: No such file or directory"


def _without(folder, package: str, error: str) -> dict[str, str]:
    """Put a package in front of the real one that fails to load as the real one would."""
    (folder / "stubs" / package).mkdir(parents=True)
    (folder / "stubs" / package / "__init__.py").write_text(f"raise {error}\n")
    return {"PYTHONPATH": os.pathsep.join((str(folder / "stubs"), str(ROOT / "src"), str(ROOT)))}


@pytest.mark.parametrize(
    ("package", "error", "said"),
    [
        ("cv2", f"ImportError({LIBGL!r})", "libgl1"),
        ("cv2", "ImportError('libgthread-2.0.so.0: cannot open shared object file')", "libglib2.0-0"),
        ("cv2", "ModuleNotFoundError(\"No module named 'cv2'\")", "opencv-python"),
        ("numpy", "ModuleNotFoundError(\"No module named 'numpy'\")", "numpy"),
        ("filelock", "ModuleNotFoundError(\"No module named 'filelock'\")", "filelock"),
        ("platformdirs", "ModuleNotFoundError(\"No module named 'platformdirs'\")", "platformdirs"),
        ("click", "ModuleNotFoundError(\"No module named 'click'\")", "click"),
        ("numpy", "OSError(5, 'Input/output error')", "nput/output error"),
        ("click", "MemoryError()", "MemoryError"),
        ("click", "SyntaxError('cut short')", "cut short"),
    ],
)
@pytest.mark.parametrize("command", ["verify", "enroll"])
def test_a_library_that_cant_be_loaded(people, places, tmp_path, package, error, said, command):  # noqa: PLR0917
    if (package, command) == ("filelock", "verify"):
        pytest.skip("two photographs need no lock")
    environment = places | _without(tmp_path, package, error)
    operands = ("bob", people.bob) if command == "enroll" else (people.alice, people.bob)
    # No fake networks here: what is missing is noticed before any network is looked for.
    script = ["-m", "facecli"] if package in {"click", "platformdirs"} else ["-c", _FAKE]
    done = start_python([*script, command, "--threshold", "0.9", "--", *operands], env=environment)
    assert done.status == 2, done
    assert_one_sentence(done.err)
    assert said in done.err
    assert done.out == ""


_FAKE = (
    "import facecli.engine, tests.fakes as f; facecli.engine.Engine = f.FakeEngine\n"
    "from facecli.__main__ import main; main()"
)


_OPEN = """
import sys
from pathlib import Path
from facecli.errors import SetupError
from facecli.runtime import RuntimeOptions, open_session
try:
    open_session(Path(sys.executable), RuntimeOptions())
except SetupError as error:
    print(int(error.status), error.message, error.hint)
"""


def test_onnxruntime_that_is_missing(places, tmp_path):
    environment = places | _without(tmp_path, "onnxruntime", "ModuleNotFoundError(\"No module named 'onnxruntime'\")")
    done = start_python(["-c", _OPEN], env=environment)
    assert done.out.startswith("2 onnxruntime can't be loaded"), done
    assert "pip install" in done.out


@pytest.mark.parametrize(
    "error", [ModuleNotFoundError("No module named 'faiss'"), MemoryError(), OSError(12, "Cannot allocate memory")]
)
def test_a_library_that_is_missed_only_at_work(run, people, monkeypatch, error):
    def fail(*_arguments):
        raise error

    monkeypatch.setattr("facecli.gallery.Gallery.search", fail)
    assert_refused(run("identify", "--json", "--", people.again), 2, command="identify")


def test_metadata_that_is_missing_breaks_nothing_but_the_version(places, tmp_path):
    command = "import importlib.metadata as m\ndef no(_): raise m.PackageNotFoundError('facecli')\nm.version = no\n"
    done = start("--version", before=command, env=places)
    assert done.status == 2
    assert_one_sentence(done.err)
    assert start("gallery", "list", before=command, env=places).status == 9


def test_libraries_that_two_threads_want_at_once(people, places):
    """numpy can be loaded only once in a process, and photographs are read by several threads."""
    slow = (
        "import sys, time\n"
        "class Slow:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.startswith(('numpy._core', 'numpy.lib', 'cv2')):\n"
        "            time.sleep(0.005)\n"
        "sys.meta_path.insert(0, Slow())\n"
        "assert 'numpy' not in sys.modules\n"
    )
    done = start("verify", "--", people.alice, people.bob, before=slow, env=places)
    assert done.status == 1, done.err
    assert done.err == ""


# --- outputs ---


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")  # noqa: PTH110
def test_an_answer_that_cant_be_written_is_no_acceptance(people, places):
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        for words in (("verify", "--", people.alice, people.again), ("identify", "--json", "--", people.again)):
            done = start(*words, env=places, stdout=full)
            assert done.status == 14
            assert_one_sentence(done.err)
            assert start(*words, env=places, stdout=full, stderr=full).status in {14, 141}


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&-", ">&- 2>&-", "<&- 2>&-", "<&- >&- 2>&-"])
def test_closed_handles(people, places, closed):
    before = people.dump()
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh"]
    accepted = start("verify", "--", people.alice, people.again, env=places, prefix=shell)
    refused = start("verify", "--", people.alice, people.bob, env=places, prefix=shell)
    assert refused.status == (14 if ">&-" in closed.split() else 1)
    assert accepted.status == (14 if ">&-" in closed.split() else 0)
    assert start("enroll", "mallory", people.again, env=places, prefix=shell).status == (
        14 if ">&-" in closed.split() else 1
    )
    assert people.dump() == before


def test_a_closed_pipe_is_no_acceptance(people, places):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        done = start("verify", "--", people.alice, people.again, env=places, stdout=pipe)
    assert done.status == 141
    assert done.err == ""


_LOUD = """
import os
from tests.fakes import FakeEngine
read = FakeEngine.read
def loud(self, source):
    os.write(2, b"Corrupt JPEG data: premature end of data segment\\n")
    return read(self, source)
FakeEngine.read = loud
"""


def test_what_a_c_library_says_of_a_damaged_photograph_stays_inside(people, places):
    """libjpeg writes to standard error by itself; the sentence there is facecli's alone."""
    done = start("verify", "--", people.alice, people.again, before=_LOUD, env=places)
    assert (done.status, done.err) == (0, "")
    assert_refused(start("verify", "--", people.alice, "missing", before=_LOUD, env=places), 7)


# --- limits and signals ---


@pytest.mark.parametrize("megabytes", [40, 60, 90, 120, 160, 220, 300, 400])
def test_too_little_memory_is_never_an_acceptance(people, places, megabytes):
    """Python itself may fail to start, so a crash is allowed here; 0 and an undecided 1 of ours are not."""

    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    done = start("verify", "--json", "--", people.alice, people.bob, env=places, preexec_fn=limited)
    assert done.status != 0
    if done.status == 1 and "facecli" in done.err:
        assert '"accepted": false' in done.out, done.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE])
def test_a_signal_at_any_time_is_never_an_acceptance(people, places, number):
    before = people.dump()
    script = ["-c", _FAKE, "enroll", "--", "mallory", people.again]
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FACECLI_")}
    path = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    for wait_s in (0.02, 0.1, 0.2, 0.3, 0.4):
        process = subprocess.Popen(
            [sys.executable, *script],
            env={**kept, **places, "PYTHONPATH": path},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        time.sleep(wait_s)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        _, told = process.communicate(timeout=60)
        assert process.returncode in {1, 130, -number}, told
        if process.returncode == 1:
            assert b"enrolled already" in told
    assert people.dump() == before

"""A small gallery, and what must hold after anything hostile: one sentence, no control byte, nothing lost."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from facecli.gallery import Gallery
from tests.cli.conftest import Result, run  # noqa: F401 (a fixture)
from tests.fakes import photo

DECIDING = {"verify", "identify"}
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class People:
    """Photographs of two people, one of whom is enrolled as alice."""

    alice: str
    again: str
    bob: str
    folder: Path

    def dump(self) -> object:
        """All that the gallery holds."""
        return dump(self.folder / "gallery")


@pytest.fixture
def people(run, tmp_path) -> People:  # noqa: F811
    made = People(
        photo(tmp_path, "a.png", 1), photo(tmp_path, "a2.png", 1, noise=2), photo(tmp_path, "b.png", 2), tmp_path
    )
    assert run("enroll", "alice", made.alice).status == 0
    return made


def dump(folder: Path) -> object:
    """Return all that a gallery holds."""
    with Gallery.open(folder) as gallery:
        rows = {p: [(t.id, t.source, t.vector.tobytes()) for t in gallery.templates(p.name)] for p in gallery.people()}
        return gallery.id, gallery.generation, sorted(rows.items(), key=lambda item: item[0].name)


def assert_one_sentence(err: str) -> None:
    """One line that says what failed, and at the most one that says what to do."""
    assert_clean(err)
    lines = err.splitlines()
    assert lines, "nothing was said"
    assert lines[0].startswith("facecli: "), err
    assert len(lines) <= 2, err
    assert all(line.startswith("  ") for line in lines[1:]), err
    assert "Traceback" not in err
    assert "internal error" not in err


def assert_clean(text: str) -> None:
    """No byte that a terminal would obey, and nothing that can't be encoded."""
    assert not _CONTROL.search(text), ascii(text)
    text.encode()


def assert_refused(result: Result, status: int, *, command: str = "") -> None:
    """The contract's status and one sentence; with ``--json`` also an object that says so."""
    assert result.status == status, result.err
    assert_one_sentence(result.err)
    assert_clean(result.out)
    if not command:
        return
    (line,) = result.out.splitlines()
    told = json.loads(line, parse_constant=pytest.fail)
    assert told["schema"] == f"facecli.{command}/1"
    assert told["status"] == status
    assert told["error"]["message"]
    if command in DECIDING:
        assert told["accepted"] is False


def start(*arguments: object, before: str = "", env: dict[str, str] | None = None, **options: object) -> Result:
    """Run the command line on fake networks in a process of its own; ``before`` is Python to run first."""
    script = (
        f"{before}\nimport sys\nimport facecli.engine\nfrom tests.fakes import FakeEngine\n"
        "facecli.engine.Engine = FakeEngine\nfrom facecli.__main__ import main\nmain()\n"
    )
    return start_python(["-c", script, *map(str, arguments)], env=env, **options)


def start_python(arguments: list[str], *, env: dict[str, str] | None = None, **options: object) -> Result:
    """Run Python with facecli and these tests on its path."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FACECLI_", "PYTHON"))}
    path = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    prefix = options.pop("prefix", [])
    options = {
        "stdin": subprocess.DEVNULL,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "timeout": 60,
    } | options
    done = subprocess.run(
        [*prefix, sys.executable, *arguments], env={**kept, "PYTHONPATH": path, **(env or {})}, check=False, **options
    )
    return Result(
        done.returncode, *((text or b"").decode(errors="surrogateescape") for text in (done.stdout, done.stderr))
    )


@pytest.fixture
def places(tmp_path) -> dict[str, str]:
    """Settings that keep a process of its own inside the test's folder."""
    (tmp_path / "facecli.toml").touch()
    return {
        "FACECLI_GALLERY": str(tmp_path / "gallery"),
        "FACECLI_CACHE": str(tmp_path / "cache"),
        "FACECLI_CONFIG": str(tmp_path / "facecli.toml"),
    }

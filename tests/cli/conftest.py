"""Run the command line in this process on fake networks, exactly as a shell would see it."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

import facecli.engine
from facecli.cli._root import run as run_program
from tests.fakes import FakeEngine


@dataclass(frozen=True)
class Result:
    status: int
    out: str
    err: str


@pytest.fixture
def run(tmp_path, monkeypatch, capfd) -> Callable[..., Result]:
    """Return a function that runs one command and gives its status and output."""
    monkeypatch.setattr(facecli.engine, "Engine", FakeEngine)
    monkeypatch.setenv("FACECLI_GALLERY", str(tmp_path / "gallery"))
    monkeypatch.setenv("FACECLI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FACECLI_CONFIG", str(tmp_path / "facecli.toml"))
    (tmp_path / "facecli.toml").touch()
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Result:
        status = run_program([str(a) for a in arguments])
        captured = capfd.readouterr()
        assert "Traceback" not in captured.err
        return Result(status, captured.out, captured.err)

    return call

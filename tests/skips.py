"""Count what could not be tested, and say so last; where that must not be, let it fail.

A test that needs more than the source tree carries a mark that says what. Where that is absent the test skips, and the
very last line of a run counts such tests by what they lacked. ``TEST_REQUIRES=weights,photographs`` names what must be
here: a test that needs only such things, and skips nevertheless, has failed.

The fixtures here are for tests that run facecli as a user would.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parent.parent

NEEDS = {
    "weights": "tests on real weights",
    "photographs": "on photographs",
    "shared": "on shared data",
    "gpu": "on a GPU",
}
"""Marks, in the order in which they are counted."""


def required() -> set[str]:
    """Return what must be here; a word that is no mark is an error, since it would require nothing."""
    names = {name.strip() for name in os.environ.get("TEST_REQUIRES", "").split(",") if name.strip()}
    if names - NEEDS.keys():
        raise pytest.UsageError(
            f"TEST_REQUIRES: {', '.join(sorted(names - NEEDS.keys()))} is none of {', '.join(NEEDS)}"
        )
    return names


def pytest_configure(config: pytest.Config) -> None:
    settings.register_profile("facecli", deadline=None)  # a loaded machine is no failure
    settings.load_profile("facecli")
    config.pluginmanager.register(Skips(required()), "skips")


@pytest.fixture(scope="session")
def weights_cache() -> Path:
    """Return the cache that has the default models ready to run: the user's own, where nothing else is said."""
    from facecli.config import Settings, default_cache
    from facecli.engine import Engine

    cache = Path(os.environ.get("FACECLI_CACHE") or default_cache())
    registry = Engine(Settings(cache=cache)).registry
    for name in ("yunet", "sface"):
        if registry.state(registry.manifest(name)) != "ready":
            pytest.skip(f"{name} is not in {cache} (make models)")
    return cache


@pytest.fixture(scope="session")
def photographs_folder() -> Path:
    """Return the folder of the demo's photographs."""
    folder = ROOT / ".photographs"
    if not (folder / "person_a_1.jpg").is_file():
        pytest.skip(f"there are no photographs in {folder} (make photographs)")
    return folder


def environment_in(home: Path, weights: Path) -> dict[str, str]:
    """Return the environment of a user whose home has the weights, and nothing else of facecli's."""
    for caches in (home / ".cache", home / "Library" / "Caches"):
        caches.mkdir(parents=True)
        (caches / "facecli").symlink_to(weights)
    kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, "PATH": path, "HOME": str(home), "COLUMNS": "80", "FACECLI_DEVICE": "cpu"}


class Skips:
    """The skipped tests of one run, by what they lacked."""

    def __init__(self, required: set[str]) -> None:
        self.required = required
        self.counts = dict.fromkeys(NEEDS, 0)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item):
        """Turn a skip into a failure where all that the test needs must be here."""
        report = yield
        needs = {name for name in NEEDS if item.get_closest_marker(name)}
        if report.skipped and not hasattr(report, "wasxfail") and needs and needs <= self.required:
            reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
            report.outcome = "failed"
            report.longrepr = f"{', '.join(sorted(needs))} required by TEST_REQUIRES, but: {reason}"
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped:
            for name in NEEDS:
                self.counts[name] += name in report.keywords

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self, config: pytest.Config) -> None:
        """Speak after pytest's own last line."""
        terminal = config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None and not config.option.collectonly:
            told = ", ".join(f"{self.counts[name]} {what}" for name, what in NEEDS.items())
            terminal.write_line(f"skipped: {told}")

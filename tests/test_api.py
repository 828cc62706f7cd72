"""The public names: they are all there, they load nothing early, and they read as docs/python.md shows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import facecli
from facecli.errors import EnrolmentRefusedError, UsageError
from tests.fakes import fake_engine, photo

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", facecli.__all__)
def test_every_public_name_can_be_imported_and_is_documented(name):
    value = getattr(facecli, name)
    assert value.__name__ == name
    assert value.__doc__
    assert value.__module__ == f"facecli.{facecli._HOMES[name]}" or value.__module__.startswith("facecli.gallery.")


def test_the_names_told_to_type_checkers_are_the_names_there_are():
    source = Path(facecli.__file__).read_text(encoding="utf-8")
    told = re.findall(r"^    from facecli\.(\w+) import (.*)$", source, re.MULTILINE)
    homes = {name: home for home, names in told for name in names.split(", ")}
    assert homes == facecli._HOMES
    assert sorted(homes) == sorted(facecli.__all__)


def test_importing_the_package_loads_none_of_its_modules():
    code = "import facecli, sys; print([m for m in sys.modules if m.startswith('facecli.')], dir(facecli))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[] ")
    assert "'Engine'" in done.stdout


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'engines'"):
        _ = facecli.engines


def test_a_program_enrols_verifies_and_identifies(tmp_path):
    """Paths may be strings or Path objects, and outcomes are true only where they accept."""
    engine = fake_engine(tmp_path)
    alice, again, bob = (photo(tmp_path, *drawn) for drawn in (("a.png", 1), ("b.png", 1), ("c.png", 2)))
    enrolment = engine.enrol("alice", alice, Path(again))
    assert (enrolment.person.name, enrolment.person.templates) == ("alice", 2)
    assert engine.verify(Path(alice), again)
    assert not engine.verify(alice, bob)
    assert engine.verify_as(Path(again), "alice")
    (found,) = engine.identify(Path(again))
    assert found
    assert found.candidates[0].person.name == "alice"
    (stranger,) = engine.identify(bob)
    assert not stranger


def test_enrolling_refuses_what_the_command_refuses(tmp_path):
    engine = fake_engine(tmp_path)
    alice = photo(tmp_path, "a.png", 1)
    engine.enrol("alice", alice)
    with pytest.raises(EnrolmentRefusedError, match="enrolled already, as alice"):
        engine.enrol("mallory", photo(tmp_path, "b.png", 1, noise=1.0))
    with pytest.raises(UsageError, match="at least one photograph"):
        engine.enrol("bob")
    with pytest.raises(UsageError):
        engine.enrol("", alice)

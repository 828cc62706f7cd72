"""Looking after a gallery from the command line: check, repair, copies, and what a person reads about them."""

import json
import sqlite3

import pytest

from tests.fakes import photo


@pytest.fixture
def people(run, tmp_path):
    """The folder of a gallery of three people."""
    for number, name in enumerate(("alice", "bob", "carol"), 1):
        assert run("enroll", name, photo(tmp_path, f"{name}.png", number)).status == 0
    return tmp_path / "gallery"


def edit(folder, statement):
    connection = sqlite3.connect(folder / "gallery.db")
    with connection:
        connection.execute(statement)
    connection.close()


def lines(done):
    return [json.loads(line) for line in done.out.splitlines()]


def test_a_sound_gallery(run, people):
    done = run("gallery", "check")
    assert (done.status, done.out) == (0, "3 people, 3 templates: no fault\n")
    [summary] = lines(run("gallery", "check", "--json"))
    assert summary["schema"] == "facecli.gallery.check/1"
    assert summary["summary"] == {"people": 3, "templates": 3, "faults": 0}
    assert summary["status"] == 0


def test_a_damaged_row_is_named_and_the_status_is_9(run, people):
    edit(people, "UPDATE template SET source = 'x' WHERE id = 2")
    done = run("gallery", "check")
    assert done.status == 9
    assert 'template 2 of "bob" fails its checksum' in done.out
    assert "--quarantine" in done.err
    assert run("gallery", "check", "--repair").status == 9
    fault, summary = lines(run("gallery", "check", "--json"))
    assert (fault["kind"], fault["table"], fault["key"], fault["remedy"]) == ("row", "template", 2, "quarantine")
    assert summary["status"] == 9


def test_repair_ends_in_0_when_all_is_mended(run, people, tmp_path):
    people.chmod(0o755)
    done = run("gallery", "check", "--repair")
    assert done.status == 0
    assert "repaired: made the folder its owner's alone" in done.out
    edit(people, "UPDATE template SET source = 'x' WHERE id = 2")
    done = run("gallery", "check", "--repair", "--quarantine", tmp_path / "out", "--json")
    assert done.status == 0
    assert lines(done)[-1]["summary"] == {"people": 2, "templates": 2, "faults": 0}
    assert run("gallery", "list").out.split("\t")[0] == "alice"
    assert run("gallery", "show", "bob").status == 2


@pytest.mark.parametrize("arguments", [["--quarantine", "out"], ["--repair", "--quarantine", ""]])
def test_a_quarantine_needs_repair_and_a_name(run, people, arguments):
    assert run("gallery", "check", *arguments).status == 2


def test_no_gallery_is_9(run):
    done = run("gallery", "check")
    assert done.status == 9
    assert "there is no gallery" in done.err

"""Looking after a gallery from the command line: check, repair, copies, and what a person reads about them."""

import json
import sqlite3

import pytest

from facecli import doctor
from tests.fakes import fake_engine, photo


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


# --- list, stats, health ---------------------------------------------------------------------------------------------


def names(done):
    return [line.split("\t")[0] for line in done.out.splitlines()]


def test_the_list_is_sorted_turned_and_paged(run, people, tmp_path):
    assert run("enroll", "bob", photo(tmp_path, "b2.png", 2, noise=2)).status == 0
    assert names(run("gallery", "list")) == ["alice", "bob", "carol"]
    assert names(run("gallery", "list", "--reverse")) == ["carol", "bob", "alice"]
    assert names(run("gallery", "list", "--sort", "templates", "--reverse")) == ["bob", "carol", "alice"]
    assert names(run("gallery", "list", "--sort", "enrolled", "--offset", "1", "--limit", "1")) == ["bob"]
    assert names(run("gallery", "list", "--offset", "3")) == []
    assert names(run("gallery", "list", "--limit", "0")) == []
    assert run("gallery", "list", "--limit", "-1").status == 2
    assert run("gallery", "list", "--sort", "age").status == 2


def test_stats(run, people, tmp_path):
    assert run("enroll", "bob", photo(tmp_path, "b2.png", 2, noise=2)).status == 0
    [told] = lines(run("gallery", "stats", "--json"))
    assert (told["people"], told["templates"], told["single"], told["most"]) == (3, 4, 2, 2)
    assert told["generation"] == 5
    assert told["bytes"] == sum(told["files"].values())
    assert "people\t3\n" in run("gallery", "stats").out


def test_health_names_what_is_worth_a_look(run, people, tmp_path):
    assert run("enroll", "--allow-duplicate", "twin", photo(tmp_path, "t.png", 1, noise=1)).status == 0
    assert run("enroll", "--force", "bob", photo(tmp_path, "other.png", 9)).status == 0
    edit(people, "VACUUM")
    *found, summary = lines(run("gallery", "health", "--json"))
    assert [(one["name"], one["other"]) for one in found if one["kind"] == "look-alike"] == [("alice", "twin")]
    assert {one["name"] for one in found if one["kind"] == "outlier"} == {"bob"}
    assert [one["name"] for one in found if one["kind"] == "single"] == ["alice", "carol", "twin"]
    assert summary["summary"]["look_alikes"] == 1
    assert summary["operating_points"]["own"]["kind"] == "fmr"
    done = run("gallery", "health")
    assert done.status == 0
    assert done.out.startswith("look-alike\talice\ttwin\tscore ")
    assert "4 people, 5 templates: 1 pairs who look alike, 2 outliers" in done.err


def test_health_by_hand_and_by_stricter_quality(run, people):
    *found, _ = lines(run("gallery", "health", "--threshold", "-1", "--json"))
    assert sum(one["kind"] == "look-alike" for one in found) == 3
    *found, _ = lines(run("gallery", "health", "--min-eye-distance", "5000", "--json"))
    weak = [one for one in found if one["kind"] == "weak"]
    assert [one["name"] for one in weak] == ["alice", "bob", "carol"]
    assert weak[0]["why"].startswith("shows the face too small")


def test_health_of_another_models_gallery_is_8(run, people):
    assert run("gallery", "health", "--model", "other").status == 8


# --- copies ----------------------------------------------------------------------------------------------------------


def test_a_snapshot_and_its_restore(run, people, tmp_path):
    done = run("gallery", "snapshot", "copy")
    assert done.status == 0
    assert "3 people, 3 templates" in done.out
    assert run("gallery", "snapshot", "copy").status == 2
    assert run("gallery", "snapshot", "").status == 2
    assert run("gallery", "remove", "bob").status == 0
    refused = run("gallery", "restore", "copy")
    assert refused.status == 2
    assert "--force" in refused.err
    [told] = lines(run("gallery", "restore", "copy", "--force", "--json"))
    assert (told["people"], told["templates"], told["status"]) == (3, 3, 0)
    assert names(run("gallery", "list")) == ["alice", "bob", "carol"]
    assert run("verify", photo(tmp_path, "b3.png", 2), "--as", "bob").status == 0


def test_a_missing_or_damaged_snapshot_is_9(run, people):
    assert run("gallery", "restore", "none", "--force").status == 9
    (people.parent / "copy").write_bytes(b"hello")
    assert run("gallery", "restore", "copy", "--force").status == 9
    assert names(run("gallery", "list")) == ["alice", "bob", "carol"]


def test_compact(run, people):
    assert run("gallery", "remove", "bob").status == 0
    [told] = lines(run("gallery", "compact", "--json"))
    assert told["bytes_after"] <= told["bytes_before"]
    assert names(run("gallery", "list")) == ["alice", "carol"]


# --- export, import --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["people.ndjson", "people.npz"])
def test_people_move_to_another_gallery(run, people, tmp_path, file):
    done = run("gallery", "export", file)
    assert (done.status, done.out) == (0, f"{file}: 3 people, 3 templates of sface\n")
    assert (tmp_path / file).stat().st_mode & 0o777 == 0o600
    assert run("gallery", "export", file).status == 2
    assert run("gallery", "export", "--force", file).status == 0
    [told] = lines(run("gallery", "import", file, "--gallery", "new", "--json"))
    assert (told["people"], told["added"], told["known"]) == (3, 3, 0)
    assert run("gallery", "import", file, "--gallery", "new").out.endswith("3 were there already\n")
    assert run("verify", photo(tmp_path, "b.png", 2), "--as", "bob", "--gallery", "new").status == 0
    assert run("verify", photo(tmp_path, "b.png", 2), "--as", "alice", "--gallery", "new").status == 1


def test_one_person_is_given_what_is_held_on_him(run, people):
    header, row, trailer = lines(run("gallery", "export", "--person", "bob", "-"))
    assert (header["people"], row["person"], trailer["templates"]) == (1, "bob", 1)
    assert run("gallery", "export", "--person", "nobody", "-").status == 2


def test_an_import_from_standard_input(run, people, tmp_path, monkeypatch):
    assert run("gallery", "export", "file").status == 0
    with (tmp_path / "file").open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert run("gallery", "import", "-", "--gallery", "new").status == 0
        assert names(run("gallery", "list", "--gallery", "new")) == ["alice", "bob", "carol"]


@pytest.mark.parametrize("arguments", [["export", ""], ["export", "--format", "npz", "-"], ["import", "none"]])
def test_a_file_that_can_not_be_used(run, people, arguments):
    assert run("gallery", *arguments).status == 2


def test_a_bad_file_makes_no_gallery_and_a_refused_export_leaves_no_file(run, people, tmp_path):
    (tmp_path / "bad").write_text("hello\n")
    assert run("gallery", "import", "bad", "--gallery", "new").status == 2
    assert not (tmp_path / "new").exists()
    edit(people, "UPDATE template SET source = 'x' WHERE id = 2")
    assert run("gallery", "export", "file").status == 9
    assert not list(tmp_path.glob("*file*"))
    assert not list(tmp_path.glob(".*part"))


def test_another_models_people_are_8(run, people, tmp_path):
    assert run("gallery", "export", "file").status == 0
    assert run("enroll", "--model", "other", "--gallery", "new", "dora", photo(tmp_path, "d.png", 7)).status == 0
    assert run("gallery", "import", "file", "--gallery", "new").status == 8


def test_the_doctor_names_the_file_system_and_a_network_one_is_not_written(run, people, monkeypatch):
    engine = fake_engine(people.parent)
    assert doctor._place(engine).health is doctor.Health.OK
    monkeypatch.setattr("facecli.gallery.place.file_system", lambda _folder: "nfs4")
    found = doctor._place(engine)
    assert found.health is doctor.Health.FAIL
    assert "nfs4" in found.detail
    assert run("gallery", "remove", "bob").status == found.status == 14

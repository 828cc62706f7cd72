"""`facecli calibrate` writes points into the gallery, and every decision against it stands on them."""

import json

import pytest

from tests.fakes import photo

RATES = ("--fmr", "0.02", "--fpir", "0.05", "--splits", "3", "--rounds", "100")


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Draw 80 people with two photographs each: their 3,160 pairs support FMR 0.02."""
    folder = tmp_path_factory.mktemp("drawn") / "people"
    for person in range(80):
        for number in (1, 2):
            photo(folder, f"p{person:02}/{number}.png", person, noise=20)
    return folder


def test_what_was_promised_and_observed_is_told(run, people):
    done = run("calibrate", people, "--data", "drawn, one camera", *RATES)
    assert done.status == 0, done.err
    assert "drawn, one camera: 80 people, 160 photographs, 3,160 pairs of people" in done.out
    assert "FMR by pair of people\t2.00 %" in done.out
    assert "calibrated: drawn, one camera, 80 people" in done.out
    assert "written to " in done.out


def test_decisions_stand_on_the_gallerys_own_points(run, people, tmp_path):
    told = json.loads(run("calibrate", people, *RATES, "--json").out)
    run("enroll", "alice", people / "p01/1.png")
    decision = json.loads(run("verify", "--as", "alice", "--json", "--", people / "p01/2.png").out)
    point = decision["operating_point"]
    assert (point["status"], point["target"], point["people"]) == ("calibrated", 0.02, 80)
    assert point["threshold"] == told["one_claim"]["threshold"]
    assert told["likelihood_ratio"]["lowest"] <= decision["log10_likelihood_ratio"]
    found = json.loads(run("identify", "--json", "--", people / "p01/2.png").out)
    assert (found["operating_point"]["status"], found["operating_point"]["target"]) == ("calibrated", 0.05)
    text = run("verify", "--as", "alice", "--", people / "p01/2.png").out
    assert "times likelier of" in text


def test_neither_environment_nor_file_can_loosen_and_a_looser_flag_is_refused(run, people, tmp_path, monkeypatch):
    run("calibrate", people, *RATES)
    run("enroll", "alice", people / "p01/1.png")
    claim = ("verify", "--as", "alice", "--json")
    probe = ("--", people / "p02/1.png")
    held = json.loads(run(*claim, *probe).out)["operating_point"]["threshold"]
    (tmp_path / "facecli.toml").write_text("fmr = 0.5\nfpir = 0.9\n")
    assert json.loads(run(*claim, *probe).out)["operating_point"]["threshold"] == held
    monkeypatch.setenv("FACECLI_FMR", "0.4")
    assert json.loads(run(*claim, *probe).out)["operating_point"]["threshold"] == held
    refused = run("verify", "--as", "alice", "--fmr", "0.5", *probe)
    assert refused.status == 2
    assert "looser than this gallery allows" in refused.err
    assert run("verify", "--as", "alice", "--threshold", "-1", *probe).status == 2
    assert run("identify", "--fpir", "0.9", *probe).status == 2
    assert run("identify", "--threshold", "-1", *probe).status == 2
    monkeypatch.setenv("FACECLI_FMR", "0.01")
    assert run(*claim, *probe).status == 2, "stricter than the data support"


def test_a_dry_run_writes_nothing_and_forget_takes_the_points_away(run, people, tmp_path):
    done = run("calibrate", people, *RATES, "--dry-run")
    assert done.status == 0
    assert "nothing was written" in done.out
    assert not (tmp_path / "gallery").exists()
    run("calibrate", people, *RATES)
    assert "model's points again" in run("calibrate", "--forget").out
    assert "no points of its own" in run("calibrate", "--forget").out
    run("enroll", "alice", people / "p01/1.png")
    decision = json.loads(run("verify", "--as", "alice", "--json", "--", people / "p01/1.png").out)
    assert decision["operating_point"]["status"] == "provisional"
    assert "log10_likelihood_ratio" not in decision


def test_the_enrolled_people_can_be_the_data(run, people):
    assert run("enroll", "--from", people, "--duplicates", "allow", "--force").status == 0
    told = json.loads(run("calibrate", "--enrolled", *RATES, "--json").out)
    assert told["one_claim"]["people"] == 80
    assert told["search"]["templates_searched"] == 160
    assert not told["search"]["supported"]
    strict = run("calibrate", "--enrolled", *RATES, "--strict")
    assert strict.status == 2
    assert "per comparison" in strict.err


def test_too_few_people_are_refused_and_told_what_they_support(run, people):
    done = run("calibrate", people)
    assert done.status == 2
    assert "80 people can't support FMR 0.0001" in done.err
    assert "1,096 people or more, or ask for FMR 0.019 or looser" in done.err


def test_pairs_must_name_their_people(run, people, tmp_path):
    rows = [f"p{n:02}/1.png,p{n:02}/2.png,1,p{n:02},p{n:02}" for n in range(80)]
    named = tmp_path / "named.csv"
    named.write_text("first,second,same,first_person,second_person\n" + "\n".join(rows) + "\n")
    done = run("calibrate", named, "--images", people, *RATES, "--dry-run", "--json")
    assert done.status == 0, done.err
    assert json.loads(done.out)["images"] == 160
    bare = tmp_path / "bare.csv"
    bare.write_text("first,second,same\n" + "\n".join(row.rsplit(",", 2)[0] for row in rows) + "\n")
    refused = run("calibrate", bare, "--images", people, *RATES)
    assert refused.status == 2
    assert "names nobody" in refused.err


@pytest.mark.parametrize("arguments", [(), ("people", "--enrolled"), ("--forget", "people"), ("nowhere",)])
def test_a_call_that_makes_no_sense_is_a_usage_error(run, arguments):
    assert run("calibrate", *arguments).status == 2


def test_points_can_go_into_a_manifest_of_ones_own(run, people, tmp_path, monkeypatch):
    monkeypatch.setenv("FACECLI_MODELS", str(tmp_path / "models"))
    done = run("calibrate", people, *RATES, "--write-manifest", "door")
    assert done.status == 0, done.err
    assert "[measurement]" in (tmp_path / "models" / "door.toml").read_text()
    assert not (tmp_path / "gallery").exists()
    assert run("calibrate", people, *RATES, "--write-manifest", "sface").status == 2


def test_what_could_not_be_written_is_refused_before_any_work(run, people, tmp_path, monkeypatch):
    run("enroll", "alice", people / "p01/1.png")
    monkeypatch.setattr("facecli.calibrate.calibrate", None)
    assert run("calibrate", people, *RATES, "--model", "other").status == 8
    assert run("calibrate", people, *RATES, "--write-manifest", "sface").status == 2
    assert run("calibrate", people, *RATES, "--write-manifest", "No Name").status == 2


def test_enrolment_is_held_to_the_gallerys_own_points(run, people):
    run("calibrate", people, *RATES)
    run("enroll", "alice", people / "p01/1.png")
    refused = run("enroll", "--threshold", "-1", "alice", people / "p05/1.png")
    assert refused.status == 2
    assert "looser than this gallery allows" in refused.err
    told = run("enroll", "alice", people / "p05/1.png")
    assert told.status == 1
    own = json.loads(run("verify", "--as", "alice", "--json", "--", people / "p05/1.png").out)
    assert f"needed {own['operating_point']['threshold']:.4f}" in told.err

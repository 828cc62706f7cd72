"""`facecli evaluate --report --plot`: files that stand alone, with faces only where they are wanted."""

import stat
import sys

import numpy as np
import pytest

from tests.fakes import photo


@pytest.fixture
def people(tmp_path):
    """Draw three people with two photographs each."""
    for person in range(1, 4):
        for number in range(1, 3):
            photo(tmp_path, f"people/P{person}/{number}.png", person, noise=12)
    return tmp_path / "people"


@pytest.fixture
def scores(tmp_path):
    """Write the scores of some system."""
    generator = np.random.default_rng(1)
    rows = [f"{score:.6f},1" for score in generator.normal(0.6, 0.1, 100)]
    rows += [f"{score:.6f},0" for score in generator.normal(0, 0.1, 400)]
    (tmp_path / "ours.csv").write_text("score,mated\n" + "\n".join(rows) + "\n")
    return tmp_path / "ours.csv"


def test_a_page_shows_the_faces_that_were_compared(run, tmp_path, people):
    done = run("evaluate", "folder", people, "--report", tmp_path / "out.html")
    assert done.status == 0, done.err
    assert "out.html (it shows faces: biometric data)" in done.err
    page = (tmp_path / "out.html").read_text()
    assert "data:image/jpeg;base64,/9j/" in page
    assert stat.S_IMODE((tmp_path / "out.html").stat().st_mode) == 0o600


def test_faces_can_be_left_out(run, tmp_path, people):
    done = run("evaluate", "folder", people, "--report", tmp_path / "out.html", "--no-faces")
    assert done.status == 0, done.err
    assert "data:image" not in (tmp_path / "out.html").read_text()


def test_several_models_are_drawn_together(run, tmp_path, people):
    models = ("--model", "sface", "--model", "dlib")
    done = run("evaluate", "folder", people, *models, "--report", tmp_path / "out.html", "--no-faces")
    assert done.status == 0, done.err
    page = (tmp_path / "out.html").read_text()
    assert page.count(">sface</text>") == page.count(">dlib</text>") == 2, "in the legends of DET and ROC"


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_a_figure_in_the_format_of_its_ending(run, tmp_path, scores, ending, start):
    done = run("evaluate", "scores", scores, "--plot", tmp_path / f"out.{ending}", "--rounds", 20)
    assert done.status == 0, done.err
    assert (tmp_path / f"out.{ending}").read_bytes().startswith(start)


@pytest.mark.parametrize(
    ("option", "file", "status"),
    [("--plot", "out.gif", 2), ("--plot", "no/out.png", 14), ("--report", "no/out.html", 14)],
)
def test_what_can_not_be_written_is_told_before_any_work(run, tmp_path, option, file, status):
    """The scores are not even looked for."""
    done = run("evaluate", "scores", tmp_path / "absent.csv", option, tmp_path / file)
    assert done.status == status
    assert file.rsplit("/", 1)[-1] in done.err
    assert not done.out


def test_searches_have_a_page_and_a_figure_too(run, tmp_path, people):
    files = ("--report", tmp_path / "out.html", "--plot", tmp_path / "out.png")
    done = run("evaluate", "identify", people, *files)
    assert done.status == 0, done.err
    page = (tmp_path / "out.html").read_text()
    assert "Rank-1 identification rate" in page
    assert "data:image/jpeg;base64,/9j/" in page
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("option", [("--report", "out.html"), ("--plot", "out.png")])
def test_a_missing_library_is_told_with_its_remedy_before_any_work(run, tmp_path, monkeypatch, option):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = run("evaluate", "scores", tmp_path / "absent.csv", *option)
    assert done.status == 2
    assert "pip install 'facecli[evaluate]'" in done.err
    assert "matplotlib" in done.err


def test_a_system_without_an_error_has_a_page_too(run, tmp_path):
    (tmp_path / "a.csv").write_text("score,mated\n" + "0.9,1\n" * 20 + "0.1,0\n" * 20)
    done = run("evaluate", "scores", tmp_path / "a.csv", "--report", "out.html", "--plot", "out.png", "--rounds", 20)
    assert done.status == 0, done.err
    page = (tmp_path / "out.html").read_text()
    assert "no threshold has errors of both kinds" in page
    assert ">nan<" not in page

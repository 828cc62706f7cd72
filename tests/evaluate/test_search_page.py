"""A page of searches: rank curve, strangers, and the searches that fared worst; no name does anything in it."""

import numpy as np
import pytest

from facecli.evaluate import sheets
from facecli.evaluate.identification import IdentificationReport, RankRate, SearchPoint
from facecli.evaluate.search_page import search_figure, search_html
from facecli.evaluate.verification import ScoredPair, Support
from facecli.metrics.identification import cmc, fnir_at_fpir, identification_curve, searches
from facecli.metrics.intervals import rate
from tests.evaluate.reports import drawn_report

HOSTILE = "<script>alert(1)</script>$x_{"


def found(*, strangers=400, model="sface", name="Ann"):
    """Return what 300 mated searches and some of strangers among 50 people found."""
    generator = np.random.default_rng(1)
    own = np.append(np.arange(300) % 50, np.full(strangers, -1))
    scores = generator.normal(0, 0.1, (len(own), 50))
    scores[np.arange(300), own[:300]] += 0.35
    done = searches(scores, own)
    curve = identification_curve(done) if strangers else None
    base = drawn_report(model)
    rates = cmc(done)
    threshold = fnir_at_fpir(curve, 0.1)[1] if curve else None
    points = (
        SearchPoint(0.1, Support.NUMBER, threshold, rate(40, 400), rate(30, 300)),
        SearchPoint(0.01, Support.BOUND, 0.5, rate(0, 400), rate(150, 300)),
        SearchPoint(0.001, Support.NOTHING, None, None, None),
    )
    return IdentificationReport(
        title=f"people: {model}",
        provenance=base.provenance,
        enrolled=50,
        templates=50,
        fta=rate(0, 700),
        fte=rate(0, 50),
        failures=base.failures,
        lost=0,
        ranks=tuple(RankRate(rank, rate(round(rates[rank - 1] * 300), 300)) for rank in (1, 5)),
        cmc=rates,
        curve=curve,
        points=points if strangers else (),
        used=SearchPoint(0.01, Support.NUMBER, 0.4, rate(3, 400), rate(60, 300)) if strangers else None,
        false_positives=(ScoredPair("x/1.jpg", "", "Eve", name, 0.41),) if strangers else (),
        misses=(ScoredPair("Ann/2.jpg", "", "Ann", "Ann", 0.02),),
    )


def test_the_page_holds_the_rank_curve_and_the_error_rates_with_strangers():
    page = search_html([found()], crop=lambda source: b"jpeg")
    assert page.count("<svg ") == 2
    assert "Rank-1 identification rate" in page
    assert "40 of 400" in page
    assert "at most 5" in page
    assert "in use" in page
    assert "FPIR 1 % and 0.1 %" in page
    assert page.count("data:image/jpeg") == 2, "the probes alone: the person found is a name"
    assert "<script" not in page


def test_without_strangers_nothing_is_said_of_them():
    page = search_html([found(strangers=0)])
    assert page.count("<svg ") == 1
    assert "No stranger was among the probes" in page
    assert "data:image" not in page


def test_hostile_names_are_text():
    page = search_html([found(model=HOSTILE, name=HOSTILE), found(model=HOSTILE)])
    assert "<script" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("strangers", [0, 400])
def test_the_figure_can_be_written(tmp_path, strangers):
    sheets.save_figure(lambda: search_figure([found(strangers=strangers)]), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")

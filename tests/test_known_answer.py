"""The known answers hold, and a swapped colour order or another alignment breaks them."""

import dataclasses
import hashlib

import pytest

from facecli import known_answer
from facecli.embed import OnnxEmbedder
from facecli.errors import ModelError
from facecli.known_answer import check, drawn_input
from facecli.manifest import KnownAnswer
from facecli.testing import FakeEmbedder


def test_the_drawing_is_the_same_on_every_machine():
    digest = hashlib.sha256(drawn_input().tobytes()).hexdigest()
    assert (drawn_input().shape, digest) == (
        (200, 200, 3),
        "a3d7899a515e948554101eae9eaca786944e959d735d147dc5231563261cca64",
    )


def test_an_unknown_input_is_an_error():
    with pytest.raises(ModelError, match="ramp-9"):
        check(FakeEmbedder(), KnownAnswer("ramp-9", 1e-3, (0.0,)))


def test_the_deviation_is_the_greatest_difference():
    known = KnownAnswer("ramp-1", 1e-3, (0.0,) * 8)
    assert 0.3 < check(FakeEmbedder(), known) <= 1


@pytest.mark.weights
def test_the_answer_in_the_manifest_holds(sface):
    known = sface._manifest.known_answer
    assert check(sface, known) <= known.tolerance / 10


@pytest.mark.weights
def test_swapped_colours_break_it(sface):
    manifest = sface._manifest
    swapped = dataclasses.replace(manifest, input=dataclasses.replace(manifest.input, colour="BGR"))
    assert check(OnnxEmbedder(sface._session, swapped), manifest.known_answer) > 10 * manifest.known_answer.tolerance


@pytest.mark.weights
@pytest.mark.parametrize("shift_px", [0.5, 2.0])
def test_a_shifted_alignment_breaks_it(sface, monkeypatch, shift_px):
    known = sface._manifest.known_answer
    shifted = tuple((x + shift_px, y) for x, y in known_answer._POINTS)
    monkeypatch.setattr(known_answer, "_POINTS", shifted)
    assert check(sface, known) > 10 * known.tolerance

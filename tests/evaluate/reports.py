"""Evaluations of drawn scores, for tests of what is made from them: no photograph, no model."""

import numpy as np

from facecli.evaluate.verification import (
    EqualError,
    Failure,
    Point,
    Provenance,
    ScoredPair,
    Support,
    VerificationReport,
)
from facecli.metrics import curves
from facecli.metrics.intervals import Method, claimable, rate, supported
from facecli.types import ModelPin


def drawn_report(model="sface", *, distance=3.6, seed=1, settings=(("faces", "one"),), names=("Ann", "Bob")):
    """Return what an evaluation of 600 mated and 20,000 non-mated normal scores found."""
    generator = np.random.default_rng(seed)
    mated, non_mated = generator.normal(0.1 * distance, 0.1, 600), generator.normal(0, 0.1, 20_000)
    curve = curves.det_curve(mated, non_mated)
    value, threshold = curves.eer(curve)
    fields = {
        "title": f"people: {model}",
        "provenance": Provenance(
            model=model,
            pin=ModelPin(model, "a1" * 32, "none-1", "b2" * 32, 128),
            device="cpu",
            versions=(("facecli", "0.1.0"),),
            settings=settings,
            data="people",
            protocol="all pairs of photographs",
            people=300,
            images=900,
            date="2026-11-24",
        ),
        "fta": rate(1, 900),
        "fte": rate(0, 300),
        "failures": (Failure(f"{names[0]}/1.jpg", "NoFaceError", f"no face found in {names[0]}/1.jpg"),),
        "lost": 900,
        "curve": curve,
        "histogram": curves.histogram(mated, non_mated),
        "points": tuple(_point(curve, target) for target in curves.FMR_TARGETS),
        "eer": EqualError(value, 0.8 * value, 1.2 * value, Method.PEOPLE, threshold),
        "d_prime": curves.d_prime(mated, non_mated),
        "accuracy": None,
        "false_matches": (ScoredPair(f"{names[0]}/2.jpg", f"{names[1]}/1.jpg", *names, 0.41),),
        "false_non_matches": (ScoredPair(f"{names[0]}/2.jpg", f"{names[0]}/3.jpg", names[0], names[0], 0.02),),
    }
    return VerificationReport(**fields)


def _point(curve, target):
    if supported(target, curve.non_mated):
        support, threshold = Support.NUMBER, curves.fnmr_at_fmr(curve, target)[1]
    elif claimable(target, curve.non_mated):
        support, threshold = Support.BOUND, curves.fnmr_at_fmr(curve, 0.0)[1]
    else:
        return Point(target, Support.NOTHING, None, None, None)
    fmr, fnmr = curve.at(threshold)
    counts = (round(fmr * curve.non_mated), curve.non_mated), (round(fnmr * curve.mated), curve.mated)
    return Point(target, support, threshold, *(rate(*count) for count in counts))

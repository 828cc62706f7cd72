"""Results as JSON and as text: one function a kind of result, the same facts in both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from facecli.cli import _output
from facecli.match import shown
from facecli.thresholds import PointKind
from facecli.types import Metric, Sample

if TYPE_CHECKING:
    from facecli.cli._output import Json
    from facecli.engine import Engine
    from facecli.gallery import Candidate
    from facecli.recognition import Decision, Identification
    from facecli.thresholds import OperatingPoint
    from facecli.types import Face, ModelPin, Quality

SYMBOLS = {Metric.COSINE: ">=", Metric.ANGULAR: "<=", Metric.EUCLIDEAN: "<="}


def decision(decision: Decision, engine: Engine, *, as_json: bool) -> None:
    """Print the outcome of a 1:1 comparison with its evidence."""
    if as_json:
        _output.emit("verify", decision_json(decision, engine))
        return
    metric = engine.settings.metric
    reference = decision.reference
    other = reference.photo if isinstance(reference, Sample) else f"{reference.person.name} (enrolled)"
    _verdict("match" if decision else "no match", accepted=bool(decision))
    _output.say(f"  {comparison(decision.score, decision.point, metric)}")
    _output.say(f"  {decision.probe.photo} ~ {other}")
    if decision.log10_lr is not None:
        _output.say(f"  {weight(decision.log10_lr)}")
    _evidence(decision.point, decision.pin, engine)


def identification(found: Identification, engine: Engine, *, as_json: bool) -> None:
    """Print the outcome of a search with its evidence."""
    if as_json:
        _output.emit("identify", identification_json(found, engine))
        return
    metric = engine.settings.metric
    best = found.candidates[0].person.name if found else "unknown"
    _verdict(f"{found.probe.photo}: {best}", accepted=bool(found))
    for rank, candidate in enumerate(found.candidates, 1):
        mark = "*" if candidate.score >= found.point.threshold else " "
        _output.say(f"  {rank:>2} {mark} {number(shown(candidate.score, metric), metric)}  {candidate.person.name}")
    if not found.candidates:
        _output.say("  the gallery is empty")
    _output.say(f"  needed {SYMBOLS[metric]} {number(shown(found.point.threshold, metric), metric)}")
    _evidence(found.point, found.pin, engine)


def comparison(score: float, point: OperatingPoint, metric: Metric) -> str:
    """Write a score beside its threshold, in the unit asked for."""
    value, needed = (number(shown(x, metric), metric) for x in (score, point.threshold))
    word = {Metric.COSINE: "score", Metric.ANGULAR: "angle", Metric.EUCLIDEAN: "distance"}[metric]
    return f"{word} {value}, needed {SYMBOLS[metric]} {needed}"


def number(value: float, metric: Metric) -> str:
    """Write a comparison's value with its unit."""
    return f"{value:.2f} deg" if metric is Metric.ANGULAR else f"{value:.4f}"


def promise(point: OperatingPoint) -> str:
    """Say in one line what a threshold promises, and on what data."""
    if point.kind is PointKind.THRESHOLD:
        return "threshold given by hand: no error rate is promised (unsourced)"
    text = f"{point.kind.upper()} {point.target:g}"
    if point.searched > 1:
        text += f" over {point.searched:,} templates"
    if not point.supported:
        text += f", extrapolated: the data support {point.claimed:.2g}"
    return f"{text} ({point.status}: {point.data}, {point.people:,} people, {point.date})"


def weight(log10_lr: float) -> str:
    """Say what a score weighs as evidence, as likelihood ratios are read out in court (ENFSI 2015)."""
    times = f"{10 ** abs(log10_lr):,.0f}" if abs(log10_lr) < 6 else f"10^{abs(log10_lr):.1f}"
    one, other = ("one person", "two") if log10_lr >= 0 else ("two people", "one")
    return f"such a score is {times} times likelier of {one} than of {other} (log10 LR {log10_lr:.2f})"


def decision_json(decision: Decision, engine: Engine) -> dict[str, Json]:
    """Return a decision as data."""
    reference = decision.reference
    told: dict[str, Json] = (
        sample_json(reference) if isinstance(reference, Sample) else candidate_json(reference, engine.settings.metric)
    )
    return {
        "accepted": bool(decision),
        "status": 0 if decision else 1,
        "score": decision.score,
        **_in_metric(decision.score, decision.point, engine.settings.metric),
        "operating_point": point_json(decision.point),
        **({} if decision.log10_lr is None else {"log10_likelihood_ratio": decision.log10_lr}),
        "probe": sample_json(decision.probe),
        "reference": told,
        **provenance(engine),
    }


def identification_json(found: Identification, engine: Engine) -> dict[str, Json]:
    """Return a search's outcome as data."""
    metric = engine.settings.metric
    best = found.candidates[0].score if found.candidates else None
    return {
        "accepted": bool(found),
        "status": 0 if found else 1,
        "name": found.candidates[0].person.name if found else None,
        "score": best,
        **(_in_metric(best, found.point, metric) if best is not None else {}),
        "margin": found.margin,
        "candidates": [candidate_json(candidate, metric) for candidate in found.candidates],
        "operating_point": point_json(found.point),
        "probe": sample_json(found.probe),
        **provenance(engine),
    }


def point_json(point: OperatingPoint) -> dict[str, Json]:
    """Return an operating point as data."""
    return {
        "kind": str(point.kind),
        "target": point.target,
        "threshold": point.threshold,
        "templates_searched": point.searched,
        "supported": point.supported,
        "claimed": point.claimed,
        "status": point.status,
        "data": point.data,
        "people": point.people,
        "people_pairs": point.people_pairs,
        "image_pairs": point.image_pairs,
        "date": point.date,
    }


def sample_json(sample: Sample) -> dict[str, Json]:
    """Return the face that decided as data; never its template."""
    return {
        "source": sample.photo,
        "sha256": sample.photo_sha256,
        "face": face_json(sample.face),
        "quality": quality_json(sample.quality),
    }


def face_json(face: Face) -> dict[str, Json]:
    """Return a detection as data, in pixels of the upright photograph."""
    box = face.box
    return {
        "box": [round(float(v), 2) for v in (box.x, box.y, box.width, box.height)],
        "points": [[round(float(x), 2), round(float(y), 2)] for x, y in face.points],
        "score": round(float(face.score), 6),
        "turned_deg": face.turned_deg,
    }


def quality_json(quality: Quality) -> dict[str, Json]:
    """Return the quality measures as data."""
    return {
        "detection": round(quality.detection, 6),
        "eye_distance_px": round(quality.eye_distance_px, 2),
        "cut": round(quality.cut, 4),
        "sharpness": round(quality.sharpness, 4),
    }


def candidate_json(candidate: Candidate, metric: Metric) -> dict[str, Json]:
    """Return an enrolled person's score as data."""
    told: dict[str, Json] = {"name": candidate.person.name, "score": candidate.score}
    if metric is not Metric.COSINE:
        told[str(metric)] = shown(candidate.score, metric)
    return {**told, "templates": candidate.person.templates}


def pin_json(pin: ModelPin) -> dict[str, Json]:
    """Return which model made the templates."""
    return {
        "name": pin.name,
        "source_sha256": pin.source_sha256,
        "conversion": pin.conversion,
        "preprocessing_sha256": pin.preprocessing_sha256,
    }


def _in_metric(score: float, point: OperatingPoint, metric: Metric) -> dict[str, Json]:
    """Add the comparison in the unit asked for."""
    if metric is Metric.COSINE:
        return {"metric": "cosine"}
    return {"metric": str(metric), str(metric): shown(score, metric), "threshold": shown(point.threshold, metric)}


def provenance(engine: Engine) -> dict[str, Json]:
    """Say which model on which device made the templates."""
    embedder = engine.pipeline.embedder
    return {"model": pin_json(embedder.pin), "device": str(embedder.device)}


def _verdict(text: str, *, accepted: bool) -> None:
    """Print the first line of a decision, green or red."""
    _output.say(text, colour="green" if accepted else "red", bold=True)


def _evidence(point: OperatingPoint, pin: ModelPin, engine: Engine) -> None:
    """Print what stands behind a decision."""
    _output.say(f"  {promise(point)}")
    _output.say(f"  {pin.name} {pin.source_sha256[:12]} on {engine.pipeline.embedder.device}")

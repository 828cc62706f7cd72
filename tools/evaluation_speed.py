"""Time an evaluation of as many faces as LFW has, on templates drawn at random: 13,233 photographs, 87 million pairs.

    PYTHONPATH=src python tools/evaluation_speed.py [DIMENSION]

Prints how long the comparisons took, how long the operating points with 1,000 bootstrap rounds over 5,749 people, and
the memory that was needed at most. docs/evaluation.md has the figures.
"""

from __future__ import annotations

import resource
import sys
import time

import numpy as np

from facecli.evaluate.embedding import Templates
from facecli.evaluate.protocols import Image
from facecli.evaluate.trials import Crossed
from facecli.evaluate.verification import Provenance, Subject, verification_report
from facecli.metrics.intervals import Resampling, rate

PHOTOGRAPHS, PEOPLE = 13_233, 5_749
SPREAD = 1.6
"""Of a person's photographs around their centre; the equal error rate is then a few percent at 128 dimensions."""


def main(dimension: int) -> None:
    """Draw, compare, measure, and say how long each took."""
    templates = drawn(dimension)
    where = Provenance("drawn", None, "", (), (), "drawn", "all pairs", PEOPLE, PHOTOGRAPHS, "")
    start = time.perf_counter()
    trials = Crossed(templates)
    pairs = trials.curve.mated + trials.curve.non_mated
    compared = time.perf_counter()
    report = verification_report(trials, Subject(where, rate(0, PHOTOGRAPHS)), resampling=Resampling(1000))
    done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"{pairs:,} pairs of {dimension} values: {compared - start:.1f} s")
    print(f"points and 1,000 rounds over {PEOPLE:,} people: {done - compared:.1f} s (EER {report.eer.value:.2%})")
    print(f"CPU {time.process_time():.1f} s in all, {peak:.0f} MB at most")


def drawn(dimension: int) -> Templates:
    """Draw people with as uneven numbers of photographs as LFW's: most have one, the most photographed has 530."""
    generator = np.random.default_rng(1)
    sizes = np.ones(PEOPLE, np.int64)
    sizes[:6] = (530, 236, 144, 121, 109, 77)
    several = np.arange(6, 1_680)
    more = generator.zipf(2.2, size=len(several)).clip(1, 60)
    sizes[several] += more
    short = PHOTOGRAPHS - int(sizes.sum())
    sizes[several] += np.bincount(generator.integers(len(several), size=max(short, 0)), minlength=len(several))
    owner = np.repeat(np.arange(PEOPLE), sizes)[:PHOTOGRAPHS]
    centres = generator.standard_normal((PEOPLE, dimension))
    vectors = centres[owner] + SPREAD * generator.standard_normal((PHOTOGRAPHS, dimension))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    images = tuple(Image(str(number), str(person)) for number, person in enumerate(owner))
    return Templates(images, np.arange(PHOTOGRAPHS), vectors.astype(np.float32), (), ())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 128)

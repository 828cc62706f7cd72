"""docs/evaluation.md states what was measured on LFW's folds 1 and 2; this measures it again.

The first run embeds 1,583 photographs (a minute or two); templates are kept in the cache of the weights.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from facecli import Engine, Settings
from facecli.evaluate.protocols import read_lfw_pairs
from facecli.evaluate.running import Conduct, evaluate_images
from facecli.evaluate.wording import percent
from facecli.types import FacePolicy

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "evaluation.md"


@pytest.mark.weights
@pytest.mark.shared
def test_the_published_figure_of_sface_lies_in_the_interval_that_the_document_states(shared, weights_cache):
    engine = Engine(Settings(cache=weights_cache, device="cpu", faces=FacePolicy.CENTER))
    protocol = read_lfw_pairs(shared / "lfw-dev" / "pairs.txt", shared / "lfw-dev" / "lfw")
    report = evaluate_images(engine, protocol, Conduct("lfw-dev")).report
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    row = next(line for line in lines if line.startswith("| sface | 99.40 %"))
    accuracy = report.accuracy
    assert accuracy.rate.low <= 0.9940 <= accuracy.rate.high
    stated = re.findall(r"[\d.]+(?= %| to|\))", row)
    measured = (accuracy.rate.value, accuracy.rate.low, accuracy.rate.high)
    assert stated[1:4] == [percent(share).removesuffix(" %") for share in measured]
    assert f"{accuracy.rate.trials - accuracy.rate.errors} errors in 1,200 | {percent(accuracy.best)}" in row
    assert f"| {percent(report.eer.value)} (" in row
    assert (report.fta.errors, report.fta.trials, report.lost) == (0, 1583, 0)

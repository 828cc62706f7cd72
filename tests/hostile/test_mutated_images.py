"""S5 in small: mutated photographs end in a picture or in one sentence; ``tools/fuzz_images.py`` runs a million."""

from collections import Counter

import pytest

from facecli.opencv import load_cv2
from facecli.testing import drawn_photo
from tools.fuzz_images import decoded, mutation, seeds_of

COUNT = 2000


@pytest.fixture(scope="module")
def seeds(tmp_path_factory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("photographs")
    for name, people in (("a.jpg", (1,)), ("b.jpg", (2, 3))):
        load_cv2().imwrite(str(folder / name), drawn_photo(*people).pixels)
    return seeds_of(folder)


def test_the_photographs_that_are_mutated_are_whole(seeds):
    outcomes = [decoded(data) for data in seeds]
    assert [why for outcome, why in outcomes if outcome == "traceback"] == []
    assert Counter(outcome for outcome, _ in outcomes)["decoded"] >= 25


def test_mutated_photographs(seeds):
    outcomes = Counter()
    for number in range(COUNT):
        outcome, why = decoded(mutation(seeds, 5, number))
        assert outcome != "traceback", f"number {number}: {why}"
        outcomes[outcome] += 1
    assert min(outcomes["decoded"], outcomes["refused"]) > COUNT / 10, (
        "mutations must be neither all fatal nor all mild"
    )

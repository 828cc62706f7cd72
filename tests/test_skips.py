"""What could not be tested is counted in the last line, and fails where it must be here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TESTS = """
import pytest

@pytest.mark.weights
def test_on_weights():
    pytest.skip("no weights")

@pytest.mark.weights
@pytest.mark.shared
def test_on_weights_and_shared_data():
    pytest.skip("no data")

@pytest.mark.gpu
def test_on_a_gpu():
    pytest.skip("no GPU")

def test_of_nothing_special():
    pass
"""


def run(folder: Path, requires: str = "") -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  weights\n  photographs\n  shared\n  gpu\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.skips", "-p", "no:cacheprovider", str(folder)]
    environment = {**os.environ, "TEST_REQUIRES": requires, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, check=False)


def test_the_last_line_counts_them_and_pytests_own_stands_before_it(tmp_path):
    done = run(tmp_path)
    *_, before, last = done.stdout.splitlines()
    assert last == "skipped: 2 tests on real weights, 0 on photographs, 1 on shared data, 1 on a GPU"
    assert "1 passed, 3 skipped in" in before
    assert done.returncode == 0


def test_what_is_required_fails_where_it_is_absent_and_nothing_else_does(tmp_path):
    done = run(tmp_path, "weights,photographs")
    assert done.returncode == 1
    assert "1 failed, 1 passed, 2 skipped in" in done.stdout
    assert "weights required by TEST_REQUIRES, but: Skipped: no weights" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("skipped: 1 tests on real weights")


@pytest.mark.parametrize("requires", ["weight", "weights photographs"])
def test_a_word_that_is_no_mark_is_an_error(tmp_path, requires):
    done = run(tmp_path, requires)
    assert done.returncode == 4
    assert "is none of weights, photographs, shared, gpu" in done.stderr

"""Processes killed in the middle of every kind of change: nothing acknowledged is lost, and nothing is half there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "kill_gallery.py"


@pytest.mark.skipif(sys.platform != "linux", reason="the tool reads and kills as Linux does")
@pytest.mark.parametrize("change", ["remove", "rename", "import", "compact", "restore"])
def test_nothing_acknowledged_is_lost_when_killed(change, tmp_path):
    """`tools/kill_gallery.py` judges each kill, and ends otherwise than in 0 at the first that lost something."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, TOOL, "--kills", "12", "--only", change, "--folder", tmp_path, "--longest", "0.3"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kills"] == 12

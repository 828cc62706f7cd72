"""What is published works: the archives hold what they should and nothing else, and the wheel works on its own.

``TEST_WHEEL=installed`` (``make wheel``) installs the wheel with all its dependencies from the package index; otherwise
they are borrowed from this environment, which takes a second.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONFIGURED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = CONFIGURED["project"]
ARCHIVED = CONFIGURED["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"]
SYSTEM = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


def run(*command: str | Path, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run something without this process's settings: those of facecli and of Python's own search path."""
    kept = {k: v for k, v in os.environ.items() if k in SYSTEM or k.startswith(("PIP_", "XDG_"))}
    return subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**kept, **environment},
        check=False,
    )


@pytest.fixture(scope="module")
def dist(tmp_path_factory) -> Path:
    """Build the source archive, and out of nothing but that the wheel; stray weights lie beside the manifests."""
    tree, folder = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("dist")
    for name in [".gitignore", *ARCHIVED]:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tree / name)
    for stray in ("models/stray.onnx", "src/facecli/stray.dat", "demo/stray.jpg"):
        (tree / stray).write_bytes(b"not to be published")
    done = run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, tree)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(dist) -> Path:
    (path,) = dist.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """Return the ``facecli`` of an environment that has the wheel, and nothing of this source tree."""
    home = tmp_path_factory.mktemp("clean") / "venv"
    python = home / "bin" / "python"
    if os.environ.get("TEST_WHEEL") == "installed":
        run(sys.executable, "-m", "venv", home)
        done = run(python, "-m", "pip", "install", "--disable-pip-version-check", wheel)
    else:
        run(sys.executable, "-m", "venv", "--without-pip", home)
        (packages,) = home.glob("lib/python*/site-packages")
        (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
        done = run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel)
    assert done.returncode == 0, done.stdout + done.stderr
    return home / "bin" / "facecli"


def test_the_wheel_holds_the_package_the_manifests_and_the_licence_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    source = {f"facecli/{p.relative_to(ROOT / 'src/facecli')}" for p in (ROOT / "src/facecli").rglob("*.py")}
    manifests = {f"facecli/models/{p.name}" for p in (ROOT / "models").glob("*.toml")}
    assert names == {*source, *manifests, "facecli/py.typed"}
    assert any(name.endswith("licenses/LICENSE") for name in zipfile.ZipFile(wheel).namelist())


def test_the_source_archive_holds_what_it_takes_to_test_it_but_no_weights_and_no_photographs(dist):
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "Makefile", "README.md", "LICENSE", "demo/demo.sh", "tests/test_wheel.py"} <= names
    unwanted = (".onnx", ".dat", ".npy", ".npz", ".jpg", ".jpeg", ".png", ".webp", ".pyc")
    assert not [name for name in names if name.endswith(unwanted) and not name.startswith("docs/img/")]


def test_it_says_its_version_and_finds_its_manifests(installed, tmp_path):
    assert run(installed, "--version", cwd=tmp_path).stdout == f"facecli {PROJECT['version']}\n"
    listed = run(installed, "models", "list", "--json", cwd=tmp_path)
    names = {json.loads(line)["name"] for line in listed.stdout.splitlines()}
    assert names >= {"yunet", "sface", "dlib"}, listed.stderr


def test_the_code_that_runs_is_the_wheels(installed, tmp_path):
    where = run(installed.parent / "python", "-c", "import facecli; print(facecli.__file__)", cwd=tmp_path).stdout
    assert str(installed.parents[1]) in where


@pytest.mark.weights
@pytest.mark.photographs
def test_it_decides_on_real_photographs_outside_the_source_tree(installed, tmp_path, weights_cache, photographs_folder):
    a, again, other = (photographs_folder / f"{name}.jpg" for name in ("person_a_1", "person_a_2", "impostor_1"))
    for probe, status in ((again, 0), (other, 1)):
        done = run(installed, "verify", "--json", "--", a, probe, cwd=tmp_path, FACECLI_CACHE=str(weights_cache))
        assert done.returncode == status, done.stderr
        assert json.loads(done.stdout)["accepted"] is (status == 0)

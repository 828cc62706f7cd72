"""Every block of the README is run, and what it shows is what it does.

``console`` blocks are one session of a shell in a folder with the demo's photographs; ``sh`` blocks are scripts,
``toml`` a configuration, ``python`` a program. Decimal numbers may differ by a little (processors differ in the last
bits), and ``…`` stands for anything, alone on a line for any lines. ``make golden`` writes the outputs of this machine
into the page where they are others; read the difference.
"""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from facecli import config
from tests.skips import environment_in

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS = [(match[1], match[2]) for match in BLOCK.finditer(README.read_text(encoding="utf-8"))]
SEPARATOR = "\x1e"
DECIMAL = re.compile(r"-?\d+\.\d{2,}(?![\d-])")
SLACK = 0.0021

pytestmark = [pytest.mark.weights, pytest.mark.photographs]


@pytest.fixture(scope="module")
def stage(tmp_path_factory, weights_cache, photographs_folder) -> tuple[Path, dict[str, str]]:
    """Return a folder with the photographs, and an environment in which facecli has nothing but its weights."""
    home = tmp_path_factory.mktemp("readme")
    folder = home / "photographs"
    shutil.copytree(photographs_folder, folder)
    return folder, environment_in(home, weights_cache)


def commands(block: str) -> list[tuple[str, str]]:
    """Split a console block into commands and what each of them is shown to print."""
    parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)
    assert not parts[0], "a console block begins with a command"
    return list(zip(parts[1::2], parts[2::2], strict=True))


def session(stage: tuple[Path, dict[str, str]], typed: list[str]) -> list[str]:
    """Type commands into one shell and return what each printed, errors included."""
    folder, environment = stage
    script = "".join(f"{command}\n_status=$?; printf '{SEPARATOR}'; (exit $_status)\n" for command in typed)
    done = subprocess.run(
        ["bash", "-c", f"exec 2>&1\n{script}"], capture_output=True, text=True, cwd=folder, env=environment, check=False
    )
    outputs = done.stdout.split(SEPARATOR)[:-1]
    assert len(outputs) == len(typed), done.stdout
    return outputs


def alike(shown: str, printed: str) -> bool:
    """Compare what is shown with what was printed: decimals nearly, the rest exactly, ``…`` with anything."""
    pattern = re.escape(DECIMAL.sub("#.#", shown)).replace(re.escape("…\n"), "(?:.*\n)*?").replace("…", ".*?")
    if not re.fullmatch(pattern, DECIMAL.sub("#.#", printed)):
        return False
    if "…" in shown:
        return True
    pairs = zip(DECIMAL.findall(shown), DECIMAL.findall(printed), strict=True)
    return all(abs(float(a) - float(b)) <= SLACK for a, b in pairs)


def test_every_console_block_does_what_it_shows(stage):
    """One session from the top of the page to its end."""
    blocks = [body for language, body in BLOCKS if language == "console"]
    shown = [pair for body in blocks for pair in commands(body)]
    printed = session(stage, [command for command, _ in shown])
    if os.environ.get("TEST_GOLDEN") == "write":
        _write([(command, output) for (command, _), output in zip(shown, printed, strict=True)], shown)
        return
    for (command, output), actual in zip(shown, printed, strict=True):
        assert alike(output, actual), f"$ {command}\n{actual}\n-- but the page shows --\n{output}"


def _write(fresh: list[tuple[str, str]], shown: list[tuple[str, str]]) -> None:
    """Put what was printed in the place of what was shown, where they differ."""
    told = iter(old if alike(old[1], new[1]) else new for old, new in zip(shown, fresh, strict=True))

    def renewed(match: re.Match[str]) -> str:
        if match[1] != "console":
            return match[0]
        body = "".join("$ {}\n{}".format(*next(told)) for _ in commands(match[2]))
        return f"```console\n{body}```"

    README.write_text(BLOCK.sub(renewed, README.read_text(encoding="utf-8")), encoding="utf-8")


def test_the_page_refuses_somebody_on_its_first_screen():
    language, body = BLOCKS[0]
    assert language == "console"
    assert "no match" in body
    assert body.endswith("$ echo $?\n1\n")


def test_every_block_is_of_a_kind_that_is_run():
    assert {language for language, _ in BLOCKS} == {"console", "sh", "toml", "python"}


SCRIPT = next(body for language, body in BLOCKS if language == "sh" and body.startswith("#!/bin/sh"))


@pytest.mark.parametrize(
    ("source", "status", "said"),
    [
        ("person_a_2.jpg", 0, "the door is open"),
        ("impostor_1.jpg", 1, "You are not alice"),
        ("text.jpg", 7, "Out of order (7)"),
        ("absent.jpg", 7, "Out of order (7)"),
    ],
)
def test_the_script_of_the_door_opens_for_alice_and_for_nothing_else(stage, tmp_path, source, status, said):
    folder, environment = stage
    environment = {**environment, "FACECLI_GALLERY": str(tmp_path / "gallery")}
    (folder / "text.jpg").write_text("no photograph")
    _program(tmp_path / "bin" / "take-photograph", f"cat {folder / source}")
    _program(tmp_path / "bin" / "open-door", "echo the door is open")
    _program(tmp_path / "door", SCRIPT)
    enrolled = subprocess.run(
        ["facecli", "enroll", "alice", "person_a_1.jpg"], cwd=folder, env=environment, check=False
    )
    assert enrolled.returncode == 0
    path = f"{tmp_path / 'bin'}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        [tmp_path / "door"], capture_output=True, text=True, env={**environment, "PATH": path}, check=False
    )
    assert ("the door is open" in done.stdout) is (status == 0)
    assert done.returncode == status
    assert said in done.stdout


def _program(path: Path, text: str) -> None:
    """Write an executable script."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_the_commands_to_install_and_to_try_are_there():
    """They reach the network, so they aren't run here: `make demo` and `make wheel` run them."""
    text = "".join(body for language, body in BLOCKS if language == "sh" and body is not SCRIPT)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = re.findall(r"^make (\w+)", text, re.MULTILINE)
    assert targets == ["demo", "test"]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)
    assert "pip install ." in text
    assert set(re.findall(r"\[(\w+)\]", text)) <= {"cuda", "heic"}


def test_the_configuration_is_one():
    (body,) = (body for language, body in BLOCKS if language == "toml")
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"readme-{os.getpid()}.toml"  # noqa: S108
    path.write_text(body, encoding="utf-8")
    try:
        loaded = config.load({}, {"FACECLI_CONFIG": str(path)})
    finally:
        path.unlink()
    assert loaded.settings.fmr == 1e-3


def test_the_program_in_python_says_what_it_should(stage):
    (body,) = (body for language, body in BLOCKS if language == "python")
    folder, environment = stage
    done = subprocess.run(
        [sys.executable, "-c", body], capture_output=True, text=True, cwd=folder, env=environment, check=False
    )
    assert done.stdout == "the same person\n", done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_offered_for_each_shell(stage, shell):
    folder, environment = stage
    assert f"{shell}_source" in README.read_text(encoding="utf-8")
    asked = {**environment, "_FACECLI_COMPLETE": f"{shell}_source"}
    done = subprocess.run(["facecli"], capture_output=True, text=True, cwd=folder, env=asked, check=False)
    assert f"_FACECLI_COMPLETE={shell}_complete" in done.stdout
    assert done.returncode == 0

"""The ways out of a Click program that would end in 0 or 1 without a decision, each closed."""

import json
import os
import subprocess
import sys

import pytest

from facecli.cli import _root
from tests.fakes import photo


@pytest.mark.parametrize("flag", ["--help", "--version"])
@pytest.mark.parametrize("command", [["verify", "a.png"], ["verify", "--as", "x"], ["identify"], ["enroll", "x"]])
def test_help_among_operands_is_a_usage_error(run, command, flag):
    if command == ["identify"] and flag == "--help":
        command = ["identify", "b.png"]
    done = run(*command, flag)
    assert done.status == 2
    assert done.out == ""


def test_help_before_operands_is_a_usage_error(run):
    assert run("verify", "--help", "a.png").status == 2
    assert run("--help", "verify").status == 2
    assert run("--version", "verify", "a", "b").status == 2


@pytest.mark.parametrize("command", [[], *([name] for name in _root.COMMANDS), ["gallery", "list"], ["config", "show"]])
def test_help_alone_is_help(run, command):
    done = run(*command, "--help")
    assert done.status == 0
    assert done.out.startswith("Usage: ")
    assert "xample" in done.out


def test_help_has_an_example_for_every_command(run):
    for name in _root.COMMANDS:
        assert f"facecli {name}" in run(name, "--help").out


def test_the_short_help_of_the_root_is_each_commands_own(run):
    for name, short in _root.COMMANDS.items():
        assert short in " ".join(run(name, "--help").out.split())


@pytest.mark.parametrize("name", ["--help", "--version", "-", "-rf"])
def test_a_file_of_any_name_can_be_given_after_two_hyphens(run, tmp_path, name):
    photo(tmp_path, "x.png", 1)
    (tmp_path / name).write_bytes((tmp_path / "x.png").read_bytes())
    operand = "./-" if name == "-" else name
    assert run("verify", "--", operand, "x.png").status == 0


def test_no_arguments_is_a_usage_error(run):
    assert run().status == 2


@pytest.mark.parametrize("arguments", [["nonsense"], ["verify"], ["verify", "a"], ["verify", "a", "b", "c"], ["--x"]])
def test_nonsense_is_a_usage_error(run, arguments):
    done = run(*arguments)
    assert done.status == 2
    assert done.err.startswith("facecli: ")


def test_an_unknown_setting_in_the_environment_is_an_error(run, monkeypatch):
    monkeypatch.setenv("FACECLI_DEVCIE", "cuda")
    done = run("config", "show")
    assert done.status == 2
    assert "devcie" in done.err


def test_a_bug_is_70_and_never_a_decision(run, monkeypatch):
    def broken(_flags):
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("facecli.cli._options._engine", broken)
    done = run("verify", "--", "a", "b")
    assert done.status == 70
    assert "internal error" in done.err


def test_a_command_that_returns_no_status_is_a_bug(run, monkeypatch):
    import facecli.cli.verify

    monkeypatch.setattr(facecli.cli.verify, "verify_command", _root.click.Command("verify", callback=lambda: None))
    assert run("verify").status == 70


def test_interrupted_is_130(run, monkeypatch):
    def interrupted(_flags):
        raise KeyboardInterrupt

    monkeypatch.setattr("facecli.cli._options._engine", interrupted)
    assert run("verify", "--", "a", "b").status == 130


def _start(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FACECLI_")}
    environment |= options.pop("env", {})
    command = [sys.executable, "-m", "facecli", *arguments]
    return subprocess.run(command, text=True, env=environment, check=False, stderr=subprocess.PIPE, **options)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")  # noqa: PTH110
@pytest.mark.parametrize("arguments", [["--help"], ["config", "show"], ["config", "show", "--json"]])
def test_a_full_disk_under_the_output_is_14(arguments):
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = _start(*arguments, stdout=full)
    assert done.returncode == 14
    assert "Traceback" not in done.stderr


def test_a_closed_pipe_is_141():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        done = _start("config", "show", stdout=pipe)
    assert done.returncode == 141
    assert done.stderr == ""


def test_closed_output_is_no_success():
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m facecli config show >&-"], check=False, capture_output=True, text=True
    )
    assert done.returncode in {14, 141}
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_answers_only_where_no_operand_is_given(shell):
    asked = {"_FACECLI_COMPLETE": f"{shell}_source"}
    answered = _start(stdout=subprocess.PIPE, env=asked)
    assert answered.returncode == 0
    assert "_FACECLI_COMPLETE" in answered.stdout
    decided = _start("verify", "--", "missing-a", "missing-b", stdout=subprocess.PIPE, env=asked)
    assert decided.returncode != 0
    assert "_FACECLI_COMPLETE" not in decided.stdout


def test_errors_are_json_too_when_asked(run):
    told = json.loads(run("verify", "--json", "--faces", "all", "--", "a", "b").out)
    assert told == told | {"schema": "facecli.verify/1", "accepted": False, "status": 2}
    assert told["error"]["kind"] == "usage"

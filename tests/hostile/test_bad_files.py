"""Every command that takes a photograph, on every kind of file that is none: a sentence, a status, nothing lost."""

import os
import shutil
import subprocess

import pytest

from facecli.image import read_photo
from tests.fakes import photo
from tests.hostile.bad_files import BAD_FILES, png_bomb
from tests.hostile.conftest import assert_clean, assert_one_sentence, assert_refused, start

COMMANDS = {
    "verify, as probe": ("verify", "--", "{bad}", "{good}"),
    "verify, as reference": ("verify", "--", "{good}", "{bad}"),
    "verify --as": ("verify", "--as", "alice", "--", "{bad}"),
    "identify": ("identify", "--", "{bad}"),
    "enroll": ("enroll", "--", "bob", "{bad}"),
    "enroll, after a good one": ("enroll", "--", "alice", "{good}", "{bad}"),
    "detect": ("detect", "--", "{bad}"),
    "embed": ("embed", "--", "{bad}"),
}


def _called(template: tuple[str, ...], bad: object, good: str, *, json: bool) -> list[str]:
    command, *rest = (word.format(bad=bad, good=good) for word in template)
    return [command, *(["--json"] if json else []), *rest]


@pytest.mark.parametrize("bad", BAD_FILES, ids=str)
def test_each_command_refuses_it_in_one_sentence(run, people, tmp_path, bad):
    (tmp_path / "bad").mkdir()
    operand, before = bad.make(tmp_path / "bad"), people.dump()
    for template in COMMANDS.values():
        command = template[0]
        for json in (False, True):
            done = run(*_called(template, operand, people.again, json=json))
            assert done.status in bad.statuses, done
            assert_refused(done, done.status, command=command if json else "")
            assert json or not done.out
    assert people.dump() == before


@pytest.mark.parametrize("bad", BAD_FILES, ids=str)
def test_among_several_it_is_named_and_the_others_go_on(run, people, tmp_path, bad):
    (tmp_path / "bad").mkdir()
    operand = bad.make(tmp_path / "bad")
    done = run("identify", "--", operand, people.again)
    assert done.status == 11
    assert_one_sentence(done.err)
    assert "alice" in done.out


def test_the_bomb_is_a_valid_png_of_less_than_a_megabyte(tmp_path):
    assert len(png_bomb()) < 1_000_000
    (tmp_path / "small.png").write_bytes(png_bomb(2000))
    assert read_photo(str(tmp_path / "small.png")).pixels.shape == (2000, 2000, 3)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_an_unreadable_file(people, places, tmp_path, command):
    secret = photo(tmp_path, "secret.png", 1)
    os.chmod(secret, 0)  # noqa: PTH101
    prefix = []
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root reads everything, and there is no setpriv to take that from it")
        prefix = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]
        if subprocess.run([*prefix, "cat", secret], check=False, capture_output=True).returncode == 0:
            pytest.skip("root reads everything here, even without the capability to")
    done = start(*_called(command, secret, people.again, json=True), env=places, prefix=prefix)
    assert_refused(done, 7, command=command[0])
    assert "ermission denied" in done.err


@pytest.mark.parametrize(
    "name", ["--help", "--version", "-", "--json", "--", "-rf", "=1+1", "a b", "$(id)", "*", "[bold]"]
)
def test_a_file_may_be_called_anything_after_two_hyphens(run, people, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / "a2.png").read_bytes())
    operand = f"./{name}" if name == "-" else name
    assert run("verify", "--as", "alice", "--", operand).status == 0
    assert run("verify", "--", operand, people.bob).status == 1
    (tmp_path / name).write_bytes(b"not a photograph")
    assert_refused(run("verify", "--as", "alice", "--", operand), 7)


@pytest.mark.parametrize("name", ["--help", "--version"])
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_without_them_such_a_file_is_no_help_among_other_arguments(run, people, tmp_path, command, name):
    (tmp_path / name).write_bytes((tmp_path / "a2.png").read_bytes())
    words = [word for word in _called(command, name, people.again, json=True) if word != "--"]
    assert_refused(run(*words), 2, command=command[0])


@pytest.mark.parametrize(
    "name",
    [
        "\x1b[2J.png",
        "\x1b]52;c;aGk=\x07.png",
        "\x9b31m.png",
        "\u202egnp.exe",
        "new\nline.png",
        "\udcff\udcfe.png",
        "a\tb.png",
        "x" * 200,
    ],
    ids=ascii,
)
def test_a_file_of_a_hostile_name_is_named_without_harm(run, people, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(b"not a photograph")
    for template in COMMANDS.values():
        done = run(*_called(template, name, people.again, json=True))
        assert_refused(done, 7, command=template[0])
    (tmp_path / name).write_bytes((tmp_path / "b.png").read_bytes())
    for words in (("verify", "--", name, people.bob), ("detect", "--", name), ("embed", "--out", "o.npy", "--", name)):
        done = run(*words)
        assert done.status == 0
        assert_clean(done.out + done.err)
    assert run("enroll", "--", "bob", name).status == 0
    shown = run("gallery", "show", "bob")
    assert shown.status == 0
    assert_clean(shown.out)


# --- standard input ---


@pytest.mark.parametrize("command", ["verify", "identify", "detect", "embed"])
def test_standard_input_can_be_given_once(run, people, command):
    done = run(command, "--", "-", "-")
    assert_refused(done, 2)
    assert "only once" in done.err


def test_standard_input_given_twice_to_enroll(run, people):
    assert_refused(run("enroll", "--", "bob", "-", "-"), 2)


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"", "empty"), (b"garbage\x00\xff" * 99, "known format"), (bytes(3_000_000), "known format")],
    ids=["empty", "garbage", "zeros"],
)
def test_what_is_no_photograph_on_standard_input(people, places, data, said):
    done = start("verify", "--json", "--as", "alice", "-", env=places, stdin=None, input=data)
    assert_refused(done, 7, command="verify")
    assert said in done.err


def test_standard_input_without_an_end_is_read_no_further_than_the_limit(people, places):
    with open("/dev/zero", "rb") as endless:  # noqa: PTH123
        done = start("identify", "--json", "--max-bytes", "1000000", "-", env=places, stdin=endless)
    assert_refused(done, 7, command="identify")
    assert "1,000,000 bytes" in done.err


def test_a_closed_standard_input(people, places):
    done = start("verify", "--as", "alice", "-", env=places, prefix=["sh", "-c", 'exec "$@" <&-', "sh"])
    assert_refused(done, 7)
    assert "closed" in done.err


def test_a_closed_standard_input_that_nobody_reads(people, places):
    done = start("verify", "--as", "alice", "--", people.again, env=places, prefix=["sh", "-c", 'exec "$@" <&-', "sh"])
    assert done.status == 0

"""Names from strangers: what no person can be called, who is one person, what reaches a terminal or spreadsheet."""

import json
import os
import pty
import random
import subprocess
import sys
import unicodedata

import pytest

from facecli.cli import _output
from facecli.errors import UsageError
from facecli.names import person_name, visible
from tests.fakes import photo
from tests.hostile.conftest import ROOT, assert_refused, dump

BAD_NAMES = [
    "",
    " ",
    " \t ",
    "../../x",
    "..",
    "/etc/passwd",
    "a\\b",
    ".hidden",
    "new\nline",
    "\x1b[31mred\x1b[0m",
    "\x1b]52;c;aGk=\x07",
    "c1\x9b31m",
    "a\u202eb",
    "a\u2066b",
    "a\u200bb",
    "a\u2028b",
    "x" * 1000,
    "\udcff\udcfe",
    "=1+1",
    "+1",
    "-x",
    "@SUM(A1)",
    "＝1+1",
    "a\ufe0fb",
    "\u0301",
    "a\U000e0041b",
    "nul\0byte",
    "[/oops]",
    "[link=http://x]y[/link]",
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_no_person_can_be_called_so(run, people, name):
    before = people.dump()
    for words in (
        ("enroll", "--json", "--", name, people.bob),
        ("enroll", "--json", "--allow-duplicate", "--force", "--", name, people.bob),
        ("verify", "--json", f"--as={name}", "--", people.again),
    ):
        assert_refused(run(*words), 2, command=words[0])
    for words in (
        ("gallery", "show", "--", name),
        ("gallery", "remove", "--yes", "--", name),
        ("gallery", "rename", "--", "alice", name),
        ("gallery", "rename", "--", name, "carol"),
    ):
        assert_refused(run(*words), 2)
    assert people.dump() == before


@pytest.mark.parametrize(
    "name",
    ["[bold]", "[oops]", "[@click=exit]", "{0}", "%s%n", "'; DROP TABLE person", "Zoë", "李小龍", "O'Neill", "Ａ"],
)
def test_what_means_something_to_a_library_is_a_name_like_any_other(run, people, name):
    assert run("enroll", "--", name, people.bob).status == 0
    name = unicodedata.normalize("NFC", name)
    assert json.loads(run("verify", "--json", "--as", name, "--", people.bob).out)["reference"]["name"] == name
    assert name in run("gallery", "list").out
    found = run("identify", "--", people.bob)
    assert found.status == 0
    assert f": {name}" in found.out
    assert run("gallery", "rename", "--", name, "carol").status == 0


def test_the_two_normal_forms_of_a_name_are_one_person(run, people):
    composed, decomposed = (unicodedata.normalize(form, "Zoë Ångström") for form in ("NFC", "NFD"))
    assert composed != decomposed
    assert run("enroll", "--", decomposed, people.bob).status == 0
    assert run("verify", "--as", composed, "--", people.bob).status == 0
    assert run("verify", "--as", decomposed, "--", people.bob).status == 0
    assert run("gallery", "list").out.count("\n") == 2


def test_bytes_of_the_command_line_that_are_no_text(people, places):
    environment = {**os.environ, **places, "PYTHONPATH": f"{ROOT / 'src'}"}
    command = [sys.executable, "-m", "facecli", "gallery", "show", b"al\xffice"]
    done = subprocess.run(command, env=environment, check=False, capture_output=True)
    assert done.returncode == 2
    assert done.stderr.startswith(b"facecli: ")
    assert b"\xff" not in done.stderr


def test_markup_means_nothing_at_a_terminal(people, places, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo(tmp_path / "[", "oops].png", 2)
    assert run("enroll", "--", "[bold]", "[/oops].png").status == 0
    shown = _in_a_terminal("gallery", "list", env=places) + _in_a_terminal("gallery", "show", "[bold]", env=places)
    assert shown.count("[bold]") == 2
    assert "[/oops].png" in shown
    assert "Traceback" not in shown
    assert "internal error" not in shown


def test_an_encoding_that_lacks_a_letter_is_no_error(people, places, run):
    run("enroll", "--", "李", people.bob)
    environment = {**os.environ, **places, "PYTHONPATH": f"{ROOT / 'src'}", "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(
        [sys.executable, "-m", "facecli", "gallery", "list"], env=environment, check=False, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert b"\\u674e" in done.stdout


# --- S11, in bulk ---

_NASTY = [
    *map(chr, (*range(0x20), *range(0x7F, 0xA1), 0x200B, 0x2028, 0x202E, 0x2066, 0xFEFF, 0xE000, 0xFFFF, 0x3164, 0xAD)),
    *("\x1b[", "\x1b]52;c;", "\udc80", "\udcff", "\ud800", "\U0010ffff", "\U000e0001"),
    *("=", "+", "-", "@", "＝", "\r\n", "..", "/", "\\", "[/x]", "[bold]", '"', "'", ",", ";"),
    *("é", "e\u0301", "李", "\U0001f600", "A", "b", " "),
]


def _hostile_names(count: int, *, seed: str = "") -> list[str]:
    luck = random.Random(f"11{seed}")  # noqa: S311
    names = []
    for number in range(count):
        if number % 3:
            names.append("".join(luck.choices(_NASTY, k=luck.randrange(1, 12))))
        else:
            names.append("".join(chr(luck.randrange(0x110000)) for _ in range(luck.randrange(1, 12))))
    return names


def test_100000_hostile_names_do_no_harm(tmp_path):
    """No control byte out, no path out of the folder, no live formula, valid JSON: whatever the name."""
    names = _hostile_names(100_000)
    accepted = 0
    for name in names:
        shown = visible(name)
        assert shown.isprintable(), ascii(name)
        shown.encode()
        try:
            fit = person_name(name)
        except UsageError as error:
            assert error.message.isprintable(), ascii(name)  # noqa: PT017 (many names in one test)
            continue
        accepted += 1
        assert fit.isprintable()
        assert fit == visible(fit) == person_name(fit)
        assert fit[0] not in "=+-@.＝＋－＠ "
        assert not {"/", "\\"} & set(fit)
        assert os.path.normpath(f"/people/{fit}") == f"/people/{fit}"
    assert accepted > 1000, "the generator must also make names that pass"


@pytest.mark.parametrize("way", ["tabbed", "say", "emit", "complain"])
def test_hostile_names_are_printed_without_harm(capfd, way):
    """A hundred thousand in all, by each of the four ways in which anything is printed."""
    names = [name or "-" for name in _hostile_names(25_000, seed=way)]
    for name in names:
        match way:
            case "tabbed":
                _output.tabbed(name, "x", name)
            case "say":
                _output.say(f"{name}: unknown")
            case "emit":
                _output.emit("detect", {"source": name})
            case _:
                _output.complain(f"{name} can't be read", hint=name)
    out, err = capfd.readouterr()
    lines = (err if way == "complain" else out).split("\n")[:-1]
    assert len(lines) == len(names) * (2 if way == "complain" else 1)
    assert all(line.replace("\t", "").isprintable() for line in lines)
    for name, line in zip(names, lines, strict=False):
        if way == "tabbed":
            first, x, last = line.split("\t")
            assert (x, first) == ("x", last)
            assert first == "-" or not first.startswith(tuple("=+-@＝＋－＠"))
        if way == "emit":
            assert line.isascii()
            assert json.loads(line)["source"] == name.encode("utf-16", "surrogatepass").decode(
                "utf-16", "surrogatepass"
            )


def test_a_photograph_called_like_a_formula_is_no_live_cell(run, people, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo(tmp_path, "=HYPERLINK(1).png", 2)
    assert run("enroll", "--", "bob", "=HYPERLINK(1).png").status == 0
    cells = run("gallery", "show", "bob").out.splitlines()[1].split("\t")
    assert cells[1] == "'=HYPERLINK(1).png"
    assert run("embed", "--out", "o.npy", "--", "=HYPERLINK(1).png").out == "0\t'=HYPERLINK(1).png\n"


def _in_a_terminal(*arguments: str, env: dict[str, str]) -> str:
    """Run the command line with a terminal as its output and return what reaches it."""
    main, end = pty.openpty()
    environment = {**os.environ, **env, "PYTHONPATH": f"{ROOT / 'src'}", "COLUMNS": "100", "TERM": "xterm"}
    done = subprocess.Popen(
        [sys.executable, "-m", "facecli", *arguments], env=environment, stdout=end, stderr=end, stdin=end
    )
    os.close(end)
    told = b""
    while True:
        try:
            part = os.read(main, 4096)
        except OSError:  # how Linux tells that the other end is closed
            break
        if not part:
            break
        told += part
    os.close(main)
    assert done.wait(30) == 0
    return told.decode()


def test_the_gallery_dump_of_these_tests_sees_a_change(people, run):
    before = dump(people.folder / "gallery")
    run("gallery", "rename", "alice", "eve")
    assert dump(people.folder / "gallery") != before

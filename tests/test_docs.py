"""The documents hold: links lead somewhere, the command reference is what --help says, examples run."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.skips import environment_in
from tools.make_cli_reference import PAGE, commands, page

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = {context.command_path: (context, command) for context, command in commands()}


def plain(text: str) -> str:
    return " ".join(text.split())


def test_the_command_reference_is_what_help_says():
    """Line breaks aside: they may differ between versions of Click. `make golden` writes it anew."""
    assert plain(PAGE.read_text(encoding="utf-8")) == plain(page())


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_a_help_and_an_example_of_itself(path):
    _, command = COMMANDS[path]
    first = (command.help or "").strip().splitlines()[0]
    assert first.endswith("."), "the first line is a sentence"
    assert re.search(rf"^ *(?:.*[|;&] )?{path}\b", command.help, re.MULTILINE), "there is an example"


@pytest.mark.parametrize("path", COMMANDS)
def test_every_option_has_a_help(path):
    _, command = COMMANDS[path]
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    assert not [option.opts for option in options if not option.help]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_within_the_project_lead_somewhere(path):
    text = path.read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    targets = [(path.parent / link.partition("#")[0], link.partition("#")[2]) for link in links]
    assert not [str(target) for target, _ in targets if not target.exists()]
    for target, anchor in targets:
        assert not anchor or anchor in _anchors(target)


def _anchors(path: Path) -> set[str]:
    """Return the anchors that a page offers: its headings, and those written out."""
    text = path.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


@pytest.mark.weights
@pytest.mark.photographs
def test_the_example_of_the_python_api_prints_what_it_shows(tmp_path, weights_cache, photographs_folder):
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    program = re.search(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[1]
    shown = re.search(r"^```text\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[1]
    shutil.copytree(photographs_folder, tmp_path / ".photographs")
    environment = environment_in(tmp_path / "home", weights_cache)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert done.stdout == shown, done.stderr

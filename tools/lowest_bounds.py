"""Make a virtual environment whose libraries are exactly the lower bounds of pyproject.toml.

Usage::

    python tools/lowest_bounds.py FOLDER

Of the markers only those that hold here count. Test tools are not held down: they are not what users install.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main(folder: Path) -> None:
    """Make the environment anew, and install facecli, its tools and the oldest dependencies."""
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = configured["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["heic"], *extras["evaluate"]]
    venv.create(folder, clear=True, with_pip=True)
    constraints = folder / "lowest.txt"
    constraints.write_text("".join(f"{lowest(requirement)}\n" for requirement in wanted), encoding="utf-8")
    pip = [folder.resolve() / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    subprocess.run([*pip, "--upgrade", "pip>=25.1"], check=True)
    tools = ["--group", "dev", "--group", "oracle"]
    subprocess.run(
        [*pip, "--editable", f"{ROOT}[heic,evaluate]", *tools, "--constraint", str(constraints)], cwd=ROOT, check=True
    )


def lowest(requirement: str) -> str:
    """Turn ``name>=1.2; marker`` into ``name==1.2; marker``.

    Raises
    ------
    ValueError
        It has no lower bound, or more than that.
    """
    if not re.fullmatch(r"[\w-]+>=[\w.]+(;.*)?", requirement):
        raise ValueError(f"{requirement!r} has no lower bound alone")
    return requirement.replace(">=", "==", 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

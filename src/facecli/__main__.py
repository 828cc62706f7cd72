"""Entry point of ``facecli`` and of ``python -m facecli``.

Nothing is imported at the top but ``sys``: should an import fail, Python would end in status 1, which is a decision
("no"), not a failure. So even that is caught here.
"""

import sys


def main() -> None:
    """Run the command line on this process's arguments and exit with the contract's status."""
    try:
        from facecli.cli._root import run
    except ImportError as error:
        sys.stderr.write(f"facecli: this installation is incomplete: {error}\n  reinstall it: pip install facecli\n")
        sys.exit(2)
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()

"""Entry point of ``facecli`` and of ``python -m facecli``.

Nothing is imported at the top but ``sys``: should an import fail, Python would end in status 1, which is a decision
("no"), not a failure. So even that is caught here.
"""

import sys


def main() -> None:
    """Run the command line on this process's arguments and exit with the contract's status."""
    try:
        from facecli.cli._root import run
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 (also a file that can't be read, or memory that ran out)
        _explain(error)
        sys.exit(2)
    sys.exit(run(sys.argv[1:]))


def _explain(error: Exception) -> None:
    """Say what is missing, if there is anyone to say it to."""
    try:
        sys.stderr.write(f"facecli: can't be started: {error!r}\n  install it again: pip install facecli\n")
    except (OSError, AttributeError, ValueError):  # standard error is closed, or full
        return


if __name__ == "__main__":
    main()

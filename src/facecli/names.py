"""Names of people, and any other text from outside: what may be stored, and how it is shown without doing harm.

:func:`person_name` decides what a person may be called; :func:`visible` makes any text at all safe to print. The first
guards what the gallery holds, the second guards the terminal, logs and error messages: file names, too, come from
strangers.

Look-alikes across scripts (a Cyrillic ``а`` for a Latin ``a``) are left alone: whole alphabets would have to be
forbidden to end them. Upper and lower case are different names.
"""

from __future__ import annotations

import unicodedata

from facecli.errors import UsageError

MAX_NAME_CHARACTERS = 200
"""After normalisation."""

_SHOWN_CHARACTERS = 40
"""How much of a bad name an error message repeats."""

_BAD_STARTS = {
    "-": "an option begins like that",
    ".": "a hidden file begins like that",
    **dict.fromkeys("=+@＝＋－＠", "a spreadsheet would run it as a formula"),
}

_UNFIT_CATEGORIES = {
    "Cc": "a control character",
    "Cf": "an invisible format character",
    "Cs": "a byte that is not text",
    "Co": "a private-use character",
    # Their normal form may change with the next edition of Unicode, and with it who is who.
    "Cn": "a character that Unicode does not know",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}

# Unicode's Default_Ignorable_Code_Point, so far as it is not of category Cf or Cn, and the blank braille cell:
# nothing is drawn for them, so that two names could look the same.
_UNSEEN = frozenset(
    map(
        chr,
        (
            0x034F,
            *(0x115F, 0x1160, 0x3164, 0xFFA0),
            *(0x17B4, 0x17B5),
            *range(0x180B, 0x1810),
            0x2800,
            *range(0xFE00, 0xFE10),
            *range(0xE0100, 0xE01F0),
        ),
    )
)


_FORMULA_STARTS = frozenset("=+-@＝＋－＠\t\r")


def inert(cell: str) -> str:
    """Return a cell of a table as no spreadsheet will run it: with an apostrophe before what would be a formula.

    OWASP recommends that against CSV injection. A number is none, nor is a hyphen that stands for nothing.
    """
    if cell[:1] not in _FORMULA_STARTS or cell == "-":
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def person_name(text: str) -> str:
    """Return the one spelling of a person's name that is stored and compared.

    Unicode normal form C, without white space at the ends, every run of white space inside as one space; so the two
    normal forms of ``Zoë`` are one person.

    Raises
    ------
    UsageError
        The name is empty, longer than 200 characters, begins like an option, a hidden file or a spreadsheet formula,
        holds a path separator, or a character that can't be seen.
    """
    reason = _unfit_character(text)
    name = " ".join(unicodedata.normalize("NFC", text).split())
    reason = reason or _unfit_shape(name)
    if reason:
        raise UsageError(
            f"{_shortened(text)} can't be a person's name: {reason}", hint="use letters, digits and spaces"
        )
    return name


def visible(text: str) -> str:
    r"""Return text from outside as it may be printed: whatever would not be seen is escaped, as in ``\x1b``.

    The result is always printable, on one line, and can be encoded as UTF-8. Control characters (C0, C1), direction
    overrides, other format characters, lone surrogates (bytes of a file name that are not UTF-8), private-use and
    unassigned characters become ``\x..``, ``\u....`` or ``\U........``. Backslashes stay as they are, so the result is
    for eyes, not for parsing back.
    """
    if text.isprintable() and _UNSEEN.isdisjoint(text):
        return text
    return "".join(_escaped(char) if not char.isprintable() or char in _UNSEEN else char for char in text)


def _escaped(char: str) -> str:
    """Write a character as Python would in a string."""
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _unfit_character(text: str) -> str:
    """Say which character makes a name unfit; empty where none does."""
    for char in text:
        what = "an invisible character" if char in _UNSEEN else _UNFIT_CATEGORIES.get(unicodedata.category(char))
        if what:
            return f"it holds {what} ({_escaped(char)})"
        if char in "/\\":
            return f"it holds {char}, which separates folders"
    return ""


def _unfit_shape(name: str) -> str:
    """Say what is wrong with a normalised name as a whole; empty where nothing is."""
    if not name:
        return "it is empty"
    if len(name) > MAX_NAME_CHARACTERS:
        return f"it has {len(name)} characters, and {MAX_NAME_CHARACTERS} are the most"
    if name[0] in _BAD_STARTS:
        return f"it begins with {name[0]}, and {_BAD_STARTS[name[0]]}"
    if unicodedata.category(name[0]).startswith("M"):
        return "it begins with a combining mark"
    return ""


def _shortened(text: str) -> str:
    """Quote a name for an error message: escaped, and not at full length."""
    head = visible(text[:_SHOWN_CHARACTERS])
    return f'"{head}…"' if len(text) > _SHOWN_CHARACTERS else f'"{head}"'

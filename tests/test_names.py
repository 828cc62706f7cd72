"""What a person may be called, and how text from outside is shown."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facecli.errors import UsageError
from facecli.names import MAX_NAME_CHARACTERS, inert, person_name, visible

ANY_TEXT = st.text(alphabet=st.characters(categories=None), max_size=40)


@pytest.mark.parametrize(
    "name",
    [
        "Ada Lovelace",
        "Zoë",
        "李小龙",
        "عمر",
        "[oops]",
        "O'Brien",
        "a",
        "1984",
        "Ann=Marie",
        "anna@work",
        "x" * 200,
        "😀",
    ],
)
def test_ordinary_names_stay_as_they_are(name):
    assert person_name(name) == name


def test_two_normal_forms_are_one_person():
    assert person_name("Zoe\u0308") == person_name("Zo\u00eb") == "Zo\u00eb"


def test_white_space_is_one_space_inside_and_none_at_the_ends():
    assert person_name("  Ada \u00a0 Lovelace\u2003") == "Ada Lovelace"


def test_case_and_look_alikes_are_different_people():
    assert person_name("anna") != person_name("Anna")
    assert person_name("\u0430nna") != person_name("anna")  # Cyrillic


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "it is empty"),
        ("   ", "it is empty"),
        ("x" * 201, "201 characters"),
        ("../../x", "separates folders"),
        ("[/oops]", "separates folders"),
        ("a\\b", "separates folders"),
        (".hidden", "a hidden file begins like that"),
        ("--help", "an option begins like that"),
        ("=1+1", "a spreadsheet would run it"),
        ("@SUM(A1)", "a spreadsheet would run it"),
        ("＝1", "a spreadsheet would run it"),
        ("Ada\nroot", r"a control character (\x0a)"),
        ("Ada\n", r"a control character (\x0a)"),
        ("\x1b[31mAda", r"a control character (\x1b)"),
        ("Ada\x9b", r"a control character (\x9b)"),
        ("Ada\u202egpj", r"an invisible format character (\u202e)"),
        ("Ad\u200ba", r"an invisible format character (\u200b)"),
        ("Ada\udcff", r"a byte that is not text (\udcff)"),
        ("Ada\ue000", r"a private-use character (\ue000)"),
        ("Ada\uffff", r"a character that Unicode does not know (\uffff)"),
        ("Ada\u2028", r"a line separator (\u2028)"),
        ("\u3164", r"an invisible character (\u3164)"),
        ("\u0301Ada", "a combining mark"),
    ],
)
def test_a_name_that_could_do_harm_is_refused_with_the_reason(name, reason):
    with pytest.raises(UsageError) as refusal:
        person_name(name)
    assert reason in refusal.value.message
    assert refusal.value.message.isprintable()
    assert len(refusal.value.message) < 200


@given(ANY_TEXT)
def test_a_name_is_either_refused_or_safe_and_settled(text):
    refusal = None
    try:
        name = person_name(text)
    except UsageError as error:
        refusal = error
    if refusal is not None:
        assert refusal.message.isprintable()
        assert refusal.message.encode()
        return
    assert person_name(name) == name
    assert unicodedata.is_normalized("NFC", name)
    assert visible(name) == name
    assert 1 <= len(name) <= MAX_NAME_CHARACTERS
    assert name[0] not in "-.=+@"
    assert not set("/\\\n") & set(name)


@given(ANY_TEXT)
def test_what_is_shown_is_printable_utf_8_on_one_line(text):
    out = visible(text)
    assert out.isprintable()
    assert out.encode().decode() == out
    assert visible(out) == out


@given(st.binary(max_size=40))
def test_a_file_name_of_any_bytes_can_be_shown(data):
    out = visible(data.decode("utf-8", "surrogateescape"))
    assert out.isprintable()
    out.encode()


def test_escapes_read_as_in_python():
    assert visible("a\x1b]52;c\x07\x9b\u202e\udcff\U000e0001b") == r"a\x1b]52;c\x07\x9b\u202e\udcff\U000e0001b"


def test_ordinary_text_is_shown_unchanged():
    assert visible(r"C:\photos\Zoë 李.jpg") == r"C:\photos\Zoë 李.jpg"


@pytest.mark.parametrize("cell", ["=1+1", "+cmd", "-x", "@sum", "＝a", "\ta", "--1", "-1-1"])
def test_what_a_spreadsheet_would_run_is_made_inert(cell):
    assert inert(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "-", "a=1", "-0.25", "+1", "-1e-5", "0.5", "a.jpg"])
def test_what_it_would_not_run_is_left_alone(cell):
    assert inert(cell) == cell

"""The page stands alone, says what the data support, and no name from outside does anything in it."""

import html
import re
import stat
from html.parser import HTMLParser

import pytest

from facecli.evaluate.page import text
from facecli.evaluate.report import Section, distinct, report_html, write_report
from facecli.evaluate.report_parts import FACES_NOTICE
from facecli.evaluate.wording import percent, rate_parts, round_percent
from facecli.metrics.intervals import rate
from tests.evaluate.reports import drawn_report

HOSTILE = '"><script>alert(1)</script><img src=https://example.org/x onerror=alert(2)>\x1b[31m\u202e$x_{2}$'
JPEG = b"\xff\xd8\xff\xe0 not a real one"
VOID = {"meta", "img", "br"}


class Tags(HTMLParser):
    """Every tag of a page with its attributes; also holds that what is opened is closed, in order."""

    def __init__(self, page):
        super().__init__()
        self.found, self.open = [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page():
    return report_html([drawn_report()], crop=lambda source: JPEG)


@pytest.fixture(scope="module")
def hostile_page():
    reports = [drawn_report(f"{HOSTILE}{n}", seed=n, names=(HOSTILE, "Bob")) for n in range(2)]
    return report_html(reports, crop=lambda source: JPEG)


def test_the_page_needs_nothing_from_elsewhere(page):
    """The one address in it names the SVG language; it is not a resource."""
    allowed = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert set(re.findall(r"https?://[^\s\"'<)]+", page)) <= allowed
    for tag, attributes in Tags(page).found:
        for name in ("src", "href", "xlink:href", "data", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:image/jpeg;base64,")), (tag, attributes)
    assert "default-src 'none'" in page


def test_nothing_in_the_page_runs(hostile_page):
    tags = Tags(hostile_page).found
    assert not {tag for tag, _ in tags} & {"script", "iframe", "object", "embed", "link", "foreignobject", "base"}
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]


def test_hostile_names_are_text_everywhere(hostile_page):
    assert html.escape(r'"><script>alert(1)</script>', quote=True) in hostile_page
    assert "\x1b" not in hostile_page
    assert "\u202e" not in hostile_page
    pictures = [attributes for tag, attributes in Tags(hostile_page).found if tag == "img"]
    assert pictures
    assert all(set(one) == {"src", "alt", "loading"} for one in pictures)


def test_every_id_of_the_page_is_its_own(page):
    found = [attributes["id"] for _, attributes in Tags(page).found if "id" in attributes]
    assert len(found) == len(set(found))
    used = re.findall(r'(?:url\(|href=")#([^)"]+)', page)
    assert set(used) <= set(found)


def test_every_figure_says_what_it_is_to_those_who_can_not_see_it(page):
    drawn = [attributes for tag, attributes in Tags(page).found if tag == "svg"]
    assert len(drawn) == 3
    assert all(one["role"] == "img" and one["aria-label"] for one in drawn)


def test_figures_take_the_colours_of_the_page(page):
    drawn = page[page.index("<svg") : page.rindex("</svg>")]
    assert "var(--ink)" in drawn
    assert "var(--series-1)" in drawn
    assert "#0072b2" not in drawn


def test_a_page_with_faces_says_that_it_is_biometric_data_and_one_without_has_none(page):
    assert text(FACES_NOTICE) in page
    assert page.count("data:image/jpeg;base64,") == 4
    bare = report_html([drawn_report()])
    assert "data:image" not in bare
    assert text(FACES_NOTICE) not in bare


def test_a_face_that_can_not_be_made_is_told_of():
    assert report_html([drawn_report()], crop=lambda source: None).count("no face to show") == 4


def test_the_page_is_readable_by_its_owner_alone(tmp_path):
    write_report(tmp_path / "out.html", [drawn_report()])
    assert stat.S_IMODE((tmp_path / "out.html").stat().st_mode) == 0o600


def test_the_same_evaluation_makes_the_same_page(page):
    assert report_html([drawn_report()], crop=lambda source: JPEG) == page


def test_what_the_data_do_not_support_is_no_number(page):
    """20,000 comparisons: FMR down to 1e-2 as numbers (30 errors expected), 1e-3 as a bound, below that nothing."""
    rows = {
        cells[0]: cells[1:]
        for cells in (
            [re.sub(r"<[^>]+>", " ", cell).split() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
            for row in re.findall(r"<tr>(.*?)</tr>", page)
        )
        for cells in [[" ".join(cell) for cell in cells]]
    }
    assert rows["10 %"][4] == "2,000 of 20,000"
    assert rows["0.1 %"][0] != "–"
    assert rows["0.01 %"] == ["–"] * 6 or rows["0.01 %"][2].startswith("at most")
    assert rows["0.001 %"] == ["–"] * 6
    assert "too few to say anything" in page


def test_provenance_holds_hashes_device_versions_data_and_date(page):
    for told in ("a1" * 32, "b2" * 32, "cpu", "0.1.0", "all pairs of photographs", "2026-11-24", "none-1"):
        assert told in page


def test_others_may_add_a_section():
    page = report_html([drawn_report()], more=[Section("By group", text("<two groups>"))])
    assert "<h2>By group</h2>\n&lt;two groups&gt;" in page


def test_systems_of_one_name_are_told_apart_by_their_settings_or_by_number():
    one, other = drawn_report(), drawn_report(settings=(("faces", "largest"),))
    assert [r.provenance.model for r in distinct([one, other])] == ["sface (faces one)", "sface (faces largest)"]
    assert [r.provenance.model for r in distinct([one, one])] == ["sface (1)", "sface (2)"]


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.0123456, "1.23 %"), (1e-6, "0.00010 %"), (0.5, "50.00 %"), (0.999987, "99.9987 %"), (0.0, "0.00 %")],
)
def test_percentages_have_enough_digits_and_no_exponent(value, told):
    assert percent(value) == told


@pytest.mark.parametrize(
    ("value", "told"), [(0.1, "10 %"), (1e-6, "0.0001 %"), (0.05, "5 %"), (0.0, "0 %"), (1, "100 %")]
)
def test_targets_have_no_more_digits_than_they_need(value, told):
    assert round_percent(value) == told


def test_rates_without_errors_are_bounds_and_few_errors_are_marked():
    assert rate_parts(rate(0, 2500)) == ("< 0.12 %", "")
    assert rate_parts(rate(300, 300)) == ("> 99.01 %", "")
    assert rate_parts(rate(0, 0)) == ("–", "")
    assert rate_parts(rate(30, 1000)) == ("3.00 %", "2.03 to 4.26 %")
    assert rate_parts(rate(3, 1000))[0] == "~0.30 %"


def luminance(colour):
    """Relative luminance as WCAG 2.1 defines it."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("side", ["light", "dark"])
def test_text_and_lines_stand_out_from_the_paper_on_both_sides(page, side):
    """WCAG 2.1 AA: 4.5 for text, 3 for lines. Series 1 and 2 are text as well, above histograms."""
    blocks = re.findall(r":root \{(.*?)\}", page, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[side == "dark"]))
    ratios = {name: contrast(colour, colours["paper"]) for name, colour in colours.items()}
    assert min(ratios[name] for name in ("ink", "soft", "series-1", "series-2")) >= 4.5
    assert min(ratio for name, ratio in ratios.items() if name.startswith("series")) >= 3

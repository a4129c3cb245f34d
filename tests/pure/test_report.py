"""Reports: tables, figures for programs, and a page: whole, self-contained, small however long the time."""

import json
import re
import xml.etree.ElementTree as ElementTree
from decimal import Decimal
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from leverage import backtest, presets, statistics
from leverage.market import Bars, Funding
from leverage.report import plots, tables
from leverage.report.cases import Case, Report
from leverage.report.page import render
from leverage.types import WAD, Trigger

START, HOUR, DAY = 1_577_836_800, 3_600, 86_400
VOID = {"meta", "br", "use", "path", "rect", "line", "img", "link", "circle"}


def bars_of(closes, step=HOUR) -> Bars:
    close = np.asarray(closes, float)
    opened = np.concatenate(([close[0]], close[:-1]))
    time = START + step * np.arange(len(close))
    return Bars.of(time, opened, np.maximum(opened, close), np.minimum(opened, close), close)


def walk(count, deviation, seed=7):
    return 2_000 * np.exp(np.cumsum(np.random.default_rng(seed).normal(0, deviation, count)))


def case_of(target, preset="ours", closes=None, symbol="ETH3L") -> Case:
    """A token over sixty days of hours, with funding and costs."""
    bars = bars_of(walk(24 * 60, 0.008) if closes is None else closes)
    funding = Funding.of(START + 8 * HOUR * np.arange(1, 180), np.full(179, 1e-4))
    token = backtest.Token(target, presets.policy(preset, Decimal(target)), costs=backtest.Costs(fee=0.001))
    return Case.of(symbol, preset, token, backtest.run(bars, token, funding))


@pytest.fixture(scope="module")
def report() -> Report:
    cases = [case_of(3, symbol="+3x"), case_of(-3, symbol="-3x"), case_of(3, "bybit")]
    return Report("ETH in early 2020", cases, ["prices: made up", "funding: the same"])


@pytest.fixture(scope="module")
def page(report) -> str:
    return render(report)


# Words and numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "+0.00%"),
        (-1e-9, "+0.00%"),
        (0.012345, "+1.23%"),
        (-0.5678, "-56.8%"),
        (-0.999951, "-100.00%"),
        (-0.9951, "-99.51%"),
        (-1.0, "-100.0%"),
        (1234.5, "+123,450%"),
    ],
)
def test_percent__fraction__has_the_digits_that_matter(value, text):
    assert tables.percent(value) == text


@pytest.mark.parametrize(
    ("nav", "text"),
    [(0, "0"), (1.23456, "1.2346"), (1234.5, "1,234.5000"), (0.0123456, "0.01235"), (1e-6, "1.000e-06")],
)
def test_worth__nav__has_four_digits_that_count(nav, text):
    assert tables.worth(nav) == text


def test_tables__every_case__has_a_row_in_each(report):
    console = Console(width=140)
    with console.capture() as capture:
        console.print(*tables.tables(report.cases))
    text = capture.get()

    assert len(tables.tables(report.cases)) == len(tables.GROUPS)
    assert text.count("-3x ") == text.count("bybit") == len(tables.GROUPS)
    for case in report.cases:
        assert tables.worth(case.summary.nav) in text
        assert f"{case.summary.tracking_error:.3%}" in text
        assert tables.percent(case.summary.attribution["funding"]) in text


def test_tables__ruined__says_when():
    case = case_of(3, "bybit", closes=[2_000, 2_000, 900, 900, 900])

    assert START + 2 * HOUR <= case.summary.ruined_at < START + 3 * HOUR
    assert tables.RESULT.columns[0].text(case.summary) == "0, ruined 2020-01-01 02:20"


def test_to_dict__report__is_plain_json(report):
    told = json.loads(json.dumps(report.to_dict(), allow_nan=False))

    assert told["notes"] == report.notes
    assert [case["token"] for case in told["cases"]] == ["+3x", "-3x", "ETH3L"]
    for case, outcome in zip(told["cases"], report.cases, strict=True):
        assert case["nav"] == outcome.result.nav[-1] and case["target"] == outcome.target
        assert sum(case["attribution"].values()) == pytest.approx(case["nav"] - 1, abs=1e-9)
        assert sum(case["rebalances"].values()) == len(outcome.result.trades)


# Plots


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.integers(4, 100))
def test_thinned__any_line__keeps_its_ends_and_extremes(values, most):
    values = np.array(values)

    rows = plots.thinned(values, most)

    assert rows.tolist() == sorted(set(rows.tolist()))
    assert (rows[0], rows[-1]) == (0, len(values) - 1)
    assert values[rows].min() == values.min() and values[rows].max() == values.max()
    assert len(rows) == len(values) if len(values) <= most else len(rows) <= most + 2


@pytest.mark.parametrize("name", list(plots.PLOTS))
def test_draw__any_plot__is_an_svg_in_the_pages_colours(report, name):
    for case in report.cases:
        drawn = plots.draw(name, case)

        root = ElementTree.fromstring(drawn)
        assert root.tag.endswith("svg")
        assert "viewBox" in root.attrib and not {"width", "height"} & set(root.attrib)
        assert case.name in root.attrib["aria-label"]
        assert "currentColor" in drawn and plots.INK not in drawn
        assert "var(--" in drawn
        assert not re.search(r"(?<!, )#[0-9a-f]{6}\b", drawn.replace("#ffffff", ""))
        assert "font-family" not in drawn


def test_draw__years_of_minutes__stay_small():
    count = 500_000
    price = walk(count, 0.0008)
    nav = np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.002, count)))
    trades = np.zeros(30_000, backtest.TRADES)
    trades["time"] = START + 900 * np.arange(30_000)
    trades["trigger"] = np.arange(30_000) % 3 + 1
    trades["leverage_before"] = 3 + np.random.default_rng(2).normal(0, 0.3, 30_000)
    result = backtest.Result(
        time=START + 60 * np.arange(count),
        price=price,
        nav=nav,
        leverage=3 + np.random.default_rng(3).normal(0, 0.2, count),
        size=price,
        equity=nav,
        attribution={line: (nav - 1) / 5 for line in backtest.LINES},
        trades=trades,
        turnover=1.0,
        ruined_at=None,
    )
    case = Case.of("ETH3L", "ours", backtest.Token(3, presets.policy("ours", Decimal(3))), result)

    sizes = {name: len(plots.draw(name, case)) for name in plots.PLOTS}

    assert max(sizes.values()) < 150_000, sizes


def test_draw__same_case_twice__is_the_same(report):
    assert plots.draw("leverage", report.cases[0]) == plots.draw("leverage", report.cases[0])


def test_draw__ruined_and_short_times__still_draw():
    for closes in ([2_000, 2_000, 900, 900, 900], [2_000, 2_000.5], [2_000] * 30):
        case = case_of(3, "bybit", closes=closes)
        for name in plots.PLOTS:
            assert plots.draw(name, case).startswith("<svg")


def test_nav__lines__are_the_asset_its_multiple_and_nav(report):
    case = report.cases[1]
    (axes,) = plots.nav(case).axes
    asset, multiple, nav = (line.get_ydata() for line in axes.get_lines())

    assert nav[-1] == case.result.nav[-1]
    assert asset[-1] == pytest.approx(1 + case.summary.asset)
    assert multiple[-1] == pytest.approx(case.summary.multiple)
    assert axes.get_lines()[1].get_label() == "1 − 3 × its return"


def test_leverage__marks__are_what_rebalances_found(report):
    case = report.cases[0]
    (axes,) = plots.leverage(case).axes
    marks = {line.get_label(): line for line in axes.get_lines() if line.get_marker() != "None"}

    scheduled = case.result.trades[case.result.trades["trigger"] == Trigger.SCHEDULED]
    line = marks[f"scheduled ({len(scheduled)})"]
    assert line.get_ydata().tolist() == np.abs(scheduled["leverage_before"]).tolist()
    assert case.token.policy.band_max / WAD == 4


def test_attribution__bars__lead_from_one_to_nav(report):
    case = report.cases[0]
    (axes,) = plots.attribution(case).axes
    start, *causes, end = axes.patches

    assert (start.get_x(), start.get_width()) == (0, 1)
    level = 1.0
    for bar, change in zip(causes, case.summary.attribution.values(), strict=True):
        assert bar.get_x() == pytest.approx(level) and bar.get_width() == pytest.approx(change)
        level += change
    assert end.get_width() == pytest.approx(case.result.nav[-1])


def test_decay__curve__is_theory_up_to_the_variance_there_was(report):
    case = report.cases[0]
    (axes,) = plots.decay(case).axes
    curve, measured = axes.get_lines()

    assert curve.get_xdata()[-1] == pytest.approx(case.summary.variance)
    assert curve.get_ydata()[-1] == pytest.approx(1 + case.summary.expected_decay)
    assert curve.get_ydata()[30] == pytest.approx(statistics.expected_decay(3, curve.get_xdata()[30]))
    assert measured.get_ydata()[-1] == pytest.approx(1 + case.summary.decay)


def test_tracking__bars__are_the_days_differences(report):
    case = report.cases[0]
    (axes,) = plots.tracking(case).axes
    tips = axes.get_lines()[0].get_ydata()[1::3]

    assert len(tips) == 59  # The first day begins at 00:02.
    assert np.std(tips, ddof=1) == pytest.approx(case.summary.tracking_error)


# The page


class Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.ids, self.links, self.text = [], [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href", "srcset", "data", "action"):
                self.links.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_render__page__is_whole_and_needs_nothing_else(report, page):
    found = Page(page)

    assert found.open == []
    assert found.tags.count("svg") == len(report.cases) * len(plots.PLOTS)
    assert not {"script", "link", "img", "iframe", "object"} & set(found.tags)
    assert found.links and all(link.startswith("#") for link in found.links)
    assert set(link[1:] for link in found.links) <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))
    assert not re.search(r"@import|url\((?!#)", page)
    assert set(re.findall(r"url\(#([^)]*)\)", page)) <= set(found.ids)


def test_render__phone_and_dark__are_provided_for(page):
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in page
    assert "prefers-color-scheme: dark" in page and "color-scheme: light dark" in page
    assert re.search(r"svg \{[^}]*width: 100%; height: auto", page)
    for name in plots.COLOURS:  # One for light, one for dark.
        assert len(re.findall(rf"--{name}: #[0-9a-f]{{6}};", page)) == 2, name


def test_render__figures__are_those_of_the_tables(report, page):
    text = Page(page).text

    for case in report.cases:
        for group in tables.GROUPS:
            for column in group.columns:
                assert column.text(case.summary) in text
    assert "All of them" in text
    assert report.title in text and report.notes[0] in text


def test_render__one_case__is_not_compared(report):
    told = []

    text = render(Report(report.title, report.cases[:1], []), lambda: told.append(1))

    assert len(told) == len(plots.PLOTS)
    assert "All of them" not in text and "<table" not in text


def test_render__strange_names__are_text(report):
    case = case_of(3, symbol='<b>"&')

    page = Page(render(Report("<script>", [case], ["a < b"])))

    assert page.open == [] and "script" not in page.tags and "b" not in page.tags
    assert '<b>"& · ours' in page.text and "a < b" in page.text

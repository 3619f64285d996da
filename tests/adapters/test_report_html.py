from __future__ import annotations

import base64
import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from service.adapters import report_plots
from service.adapters.report_html import HtmlReportWriter, interval, moment, number, percent, short
from service.errors import InvalidInput
from tests.adapters.report_cases import bare_report, full_report


class Page(HTMLParser):
    """What a page says, what it would fetch, and whether its elements close."""

    VOID = frozenset({"meta", "br", "link", "img", "input"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "action", "data"):
                self.links.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def rendered(data: dict[str, Any]) -> tuple[str, Page]:
    page = HtmlReportWriter().render(data)
    return page, Page(page)


@lru_cache
def full_page(classes: int) -> tuple[str, Page]:
    """Drawing takes half a second; tests that only look may share a page."""
    return rendered(full_report(classes))


@pytest.mark.parametrize("classes", [1, 12, 81])
def test_the_page_stands_alone_and_is_well_formed(classes: int) -> None:
    page, parsed = full_page(classes)
    assert parsed.open == []
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in parsed.links)
    assert "@import" not in page
    assert "url(http" not in page
    assert len(set(parsed.ids)) == len(parsed.ids), "plots must not share element ids"
    for reference in re.findall(r'(?:url\(|href=")#([^)"]+)', page):
        assert reference in parsed.ids


def test_the_page_tells_every_part() -> None:
    data = full_report(12)
    page, parsed = full_page(12)
    assert page.count("<svg") == 6
    text = parsed.text
    figures = data["evaluation"]
    for figure in (figures["accuracy"], figures["macro_f1"], figures["weighted_f1"], figures["top5"]):
        assert percent(figure) in text
    assert interval(figures["interval"]) in text
    for name, member in data["panel"].items():
        assert percent(member["accuracy"]) in text
        assert percent(data["panel_no_pull"][name]["accuracy"]) in text
    for label, figures in data["evaluation"]["per_class"].items():
        assert f"{label} {percent(figures['f1'])}" in text
    assert "+1.3 -0.4 to +3.0 %" in text
    assert "4 of the references are provisional" in text
    assert "torch 2.13" in text
    assert "pictures that neither made the references nor chose among settings" in text
    assert "support 180, tuning 60, holdout 60" in text
    assert "cpu, float32" in text


def test_what_serves_is_marked_in_the_panel() -> None:
    page, _ = full_page(12)
    assert re.findall(r'class="serves"><td>([^<]*)', page) == ["Holotype: the chosen references"]
    refused = full_report(2)
    refused["evaluation"]["gate_passed"] = False
    refused["selection"]["strategy"] = "all"
    assert re.findall(r'class="serves"><td>([^<]*)', rendered(refused)[0]) == ["all references"]


def test_a_number_of_references_is_told_against_what_they_were_chosen_from() -> None:
    data = bare_report()
    assert "180 of 180 support pictures" in rendered(data)[1].text
    data["evaluation"]["references"] = 290
    assert "290 of 300 labelled pictures" in rendered(data)[1].text


def test_per_class_rows_come_worst_first() -> None:
    data = full_report(12)
    page, _ = full_page(12)
    table = page[page.index("data-sortable") :]
    shown = [float(value) for value in re.findall(r'<td data-value="([\d.]+)"><span class="bar"', table)]
    assert shown == sorted(figures["f1"] for figures in data["evaluation"]["per_class"].values())


def test_the_most_confused_pairs_are_listed() -> None:
    data = bare_report()
    data["confusion"] = {"labels": ["a", "b", "c"], "matrix": [[5, 4, 1], [0, 9, 0], [3, 0, 0]]}
    text = rendered(data)[1].text
    assert text.index("a b 4 40 %") < text.index("c a 3 100 %") < text.index("a c 1 10 %")


def test_missing_parts_are_explained() -> None:
    page, parsed = rendered(bare_report())
    assert "<svg" not in page
    assert "None" not in parsed.text
    for sentence in (
        "Nothing was optimised yet",
        "Measured on nothing. Nothing was optimised yet: run",
        "There is no comparison",
        "There is no curve",
        "no picture was judged",
        "There is no histogram",
        "not recorded",
    ):
        assert sentence in parsed.text
    assert parsed.text.count("Drawn by an optimisation.") == 3


def test_what_an_optimisation_could_not_measure_is_explained_by_it() -> None:
    bare = bare_report()
    figures = {"images": 0, "refit": True, "unmeasured": {"figures": "with one class all is one", "curve": "alas"}}
    text = " ".join(rendered(bare | {"selection": full_report(2)["selection"] | {"figures": figures}})[1].text.split())
    for sentence in (
        "Measured on nothing. With one class all is one.",
        "There is no comparison. With one class all is one.",
        "no picture was judged. With one class all is one.",
        "There is no curve. Alas.",
    ):
        assert sentence in text
    assert "the stored figures are those from before" not in text, "there are none"
    assert "Run “holotype optimise" not in text, "it was just run"


def test_one_class_has_no_other_to_resemble() -> None:
    page, parsed = full_page(1)
    assert full_report(1)["cross_class_histogram"]["edges"], "there are edges, with nothing between them"
    assert 'aria-label="Histogram' not in page
    assert "There is no histogram: it is drawn when references are chosen, between at least two classes" in parsed.text


@pytest.mark.parametrize(("refit", "told"), [(True, "all labelled pictures"), (False, "all support pictures")])
def test_class_means_say_of_which_pictures_they_are(refit, told) -> None:
    data = full_report(3)
    data["selection"]["figures"]["refit"] = refit
    assert f"The means are of {told}, which the references were chosen from" in " ".join(rendered(data)[1].text.split())


def test_figures_of_a_folder_say_what_was_left_out() -> None:
    data = bare_report() | {"evaluation": full_report(4)["evaluation"]}
    data["evaluation"] |= {
        "measured_on": "60 pictures of new that the catalogue does not hold",
        "skipped": {"unknown_label": 3, "already_stored": 5, "broken": 7},
    }
    for key in ("difference", "difference_interval"):
        del data["evaluation"][key]
    text = rendered(data)[1].text
    assert "Measured on 60 pictures of new" in text
    assert "3 with a label that the catalogue does not know, 5 that it holds already, 7 that cannot be read" in text
    assert "points against all" not in text


def test_what_serves_and_what_was_measured_are_told_apart() -> None:
    data = full_report(3)
    data["evaluation"] |= {"references": 40, "measured_references": 36.5}
    text = rendered(data)[1].text
    assert "references that serve now 40 members of the selection, of 300 labelled pictures" in text
    assert "references when measured 36.5 what the figures were measured with" in text
    assert "references when measured" in text[text.index("Against simpler choices") :]
    folder = bare_report()
    assert "references when measured" not in rendered(folder)[1].text


def test_the_title_says_what_the_page_is_about() -> None:
    page, parsed = full_page(3)
    assert "<title>How well groceries is told apart: Holotype report</title>" in page
    assert "How well groceries is told apart" in parsed.text[parsed.text.index("report") :]


def test_the_curve_says_why_its_level_is_another() -> None:
    page, _ = full_page(3)
    caption = " ".join(page[page.index("<figcaption") : page.index("</figcaption>")].split())
    assert "Cross-fitted on the catalogue's own" in caption
    assert "labels as they were handed over" in caption
    assert "the level of this curve differs" in caption


@pytest.mark.parametrize("plot", ["curve", "histogram"])
def test_a_legend_covers_no_data(plot: str, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []
    drawn = report_plots.drawn
    monkeypatch.setattr(report_plots, "drawn", lambda figure, *rest: figures.append(figure) or drawn(figure, *rest))
    data = full_report(3)
    report_plots.curve_plot(data["curve"]) if plot == "curve" else report_plots.histogram_plot(
        data["cross_class_histogram"]
    )
    (figure,) = figures
    (axes,) = figure.axes
    (legend,) = [*figure.legends, *([axes.get_legend()] if axes.get_legend() else [])]
    assert len(legend.get_texts()) > 1
    assert not legend.get_window_extent().overlaps(axes.get_window_extent())
    assert figure.bbox.containsx(legend.get_window_extent().x1)


def test_no_name_makes_a_narrow_page_scroll_sideways() -> None:
    page, _ = full_page(12)
    body = page[page.index("body {") :].split("}")[0]
    assert "overflow-wrap: anywhere" in body
    tables = [page[: found.start()].rsplit("<", 1)[1] for found in re.finditer("<table", page)]
    assert len(tables) == 3
    assert all(before.startswith('div class="wide') for before in tables)


def test_names_cannot_become_markup_or_formulas() -> None:
    data = full_report(3, label='<script>alert("x")</script> $a$ 日本')
    data["catalogue"]["name"] = "<img src=x onerror=alert(1)>"
    page, parsed = rendered(data)
    assert "<script>alert" not in page
    assert "<img" not in page
    assert '<script>alert("x")</script> $a$ 日本 00' in parsed.text
    assert parsed.open == []


def test_a_long_list_of_classes_keeps_its_heat_maps_without_tick_labels() -> None:
    _, parsed = full_page(81)
    assert "81 classes, by name" in parsed.text


def test_write_replaces_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    HtmlReportWriter().write(bare_report(), path)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert list(tmp_path.iterdir()) == [path]


def test_write_says_why_it_cannot(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="No such file"):
        HtmlReportWriter().write(bare_report(), tmp_path / "missing" / "report.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(InvalidInput, match="cannot be written"):
        HtmlReportWriter().write(bare_report(), tmp_path / "folder.html")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.html"]


@pytest.mark.parametrize("path", ["missing/report.html", ".", "n" * 250, "old.html/report.html"])
def test_that_it_cannot_be_written_is_found_before(tmp_path: Path, path: str) -> None:
    (tmp_path / "old.html").write_text("old")
    with pytest.raises(InvalidInput, match="the report cannot be written to"):
        HtmlReportWriter().check(tmp_path / path)
    HtmlReportWriter().check(tmp_path / "new.html")
    HtmlReportWriter().check(tmp_path / "old.html")
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("old.html", "old")]


def test_numbers_for_people() -> None:
    assert (percent(0.12345), percent(None), percent(1, 0)) == ("12.3 %", "\N{EN DASH}", "100 %")
    assert (number(1234.0), number(40.5), number(None)) == ("1,234", "40.5", "\N{EN DASH}")
    assert (short(0.12345678), short(3), short("lda")) == ("0.1235", "3", "lda")
    assert interval([-0.01, 0.02], signed=True) == "-1.0 to +2.0 %"
    assert interval(None) == ""
    assert moment(0.0) == "1970-01-01 00:00 UTC"


def test_the_policy_names_the_page_s_own_script_and_nothing_else():
    writer = HtmlReportWriter()
    (script,) = re.findall(r"<script>(.*?)</script>", writer.render(full_report()), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    directives = dict(part.split(" ", 1) for part in writer.policy.split("; "))
    assert directives["script-src"] == f"'sha256-{digest}'"
    assert directives["default-src"] == "'none'"
    assert directives["sandbox"] == "allow-scripts"


def test_pages_are_drawn_side_by_side_without_mixing_settings():
    writer = HtmlReportWriter()
    alone = writer.render(full_report())
    with ThreadPoolExecutor(2) as pool:
        assert set(pool.map(lambda _: writer.render(full_report()), range(4))) == {alone}

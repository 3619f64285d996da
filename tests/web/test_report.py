"""The report in a real browser: nothing of it is cut off."""

from pathlib import Path

import pytest

from service.adapters.report_html import HtmlReportWriter
from tests.adapters.report_cases import full_report

CUT = """() => [...document.querySelectorAll("svg, .wide, .wide:not(.long) td:last-child")].filter(one =>
    one.scrollWidth > one.clientWidth + 1 || (!one.matches(".long") && one.scrollHeight > one.clientHeight + 1)
    || one.getBoundingClientRect().right > innerWidth).map(one => one.outerHTML.slice(0, 200))"""


@pytest.mark.parametrize("width", [1200, 700])
def test_no_table_and_no_plot_is_cut(chromium, tmp_path: Path, width: int) -> None:
    report = full_report(30, label="a rather long name of a class")
    assert sum(map(sum, report["confusion"]["matrix"])) - len(report["confusion"]["labels"]) > 20, "a full table"
    file = tmp_path / "report.html"
    HtmlReportWriter().write(report, file)
    page = chromium.new_page(viewport={"width": width, "height": 900})
    try:
        page.goto(file.as_uri())
        assert page.locator(".wraps tbody tr").count() == 20
        assert page.evaluate(CUT) == []
        assert page.evaluate("() => document.documentElement.scrollWidth") == width
    finally:
        page.close()

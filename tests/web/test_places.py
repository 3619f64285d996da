"""Every place of a filled catalogue: on a phone, in the dark, for axe-core, for the keyboard alone, for a visitor."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from service.usecases.catalogues import create_catalogue
from tests.api.filled import ingest, optimise
from tests.web.conftest import DESKTOP
from tests.web.pictures import asked, contested, fruit
from tests.web.test_journey import choose
from tests.web.watching import Watched

PHONE = {"width": 400, "height": 800}
PLACES = {
    "overview": "fruit",
    "add": "Add pictures",
    "classify": "Classify",
    "search": "Search",
    "selections": "Selections",
    "map": "Map",
    "confusion": "Confusion",
    "review": "Review",
}


@pytest.fixture(scope="module")
def filled(site, tmp_path_factory) -> None:
    """A catalogue with two selections, and something to review."""
    folder = tmp_path_factory.mktemp("pictures")
    ingest(site.context, "acme", "fruit", fruit(folder / "fruit"))
    optimise(site.context, "acme", "fruit")
    optimise(site.context, "acme", "fruit", budget=1, strategy="medoids")
    ingest(site.context, "acme", "fruit", contested(folder / "contested"))


@pytest.fixture(params=["light", "dark"])
def phone(request, chromium, site, screenshots, filled) -> Iterator[Watched]:
    options = {"viewport": PHONE, "color_scheme": request.param, "has_touch": True}
    with Watched(chromium, site.url, screenshots, f"phone-{request.param}-", **options) as watched:
        yield watched


def test_every_place_fits_a_phone_and_is_accessible(phone: Watched, site, tmp_path):
    phone.page.goto("/")
    _looked_at(phone, "sign-in")
    phone.sign_in(site.key)
    _looked_at(phone, "catalogues")
    for place, heading in PLACES.items():
        phone.open("fruit", place, heading)
        if place == "overview":
            phone.page.get_by_role("button", name=re.compile("^apple")).click()
            expect(phone.page.get_by_role("list", name="Pictures of apple")).to_be_visible()
        if place == "classify":
            choose(phone.page, "Choose pictures", [asked(tmp_path)])
            expect(phone.page.get_by_role("article")).to_be_visible()
            phone.page.get_by_text("The best 4 labels").click()
        if place == "selections":
            chart = phone.page.get_by_role("group", name="Accuracy against number of references").bounding_box()
            assert chart is not None
            assert 200 < chart["height"] < 400
            phone.page.get_by_role("button", name="Compare").click()
            expect(phone.page.get_by_role("table", name="Figures of both")).to_be_visible()
        _looked_at(phone, place)
    phone.page.get_by_role("button", name="Help on keys").click()
    _looked_at(phone, "dialog")


def _looked_at(phone: Watched, name: str) -> None:
    phone.settled()
    phone.shot(name)
    phone.fits()
    phone.accessible()


def test_findings_are_reviewed_with_the_keyboard_alone(chromium, site, screenshots, filled):
    with Watched(chromium, site.url, screenshots, "keyboard-", viewport=DESKTOP) as watched:
        page = watched.page
        page.goto("/")
        page.keyboard.type(site.key)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Catalogues")).to_be_visible()
        _tab_to(page, "fruit")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1, name="fruit")).to_be_visible()
        _tab_to(page, "Review")
        page.keyboard.press("Enter")
        finding = page.get_by_role("region", name="Finding")
        expect(finding.get_by_role("heading")).to_have_text("One picture under several labels")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("k")
        expect(finding).to_contain_text("1 of ")  # a conflict cannot be kept
        page.keyboard.press("r")
        page.keyboard.type("apple")
        with page.expect_response(re.compile("hygiene/decisions")) as sent:
            page.keyboard.press("Enter")
            expect(finding).to_contain_text("2 of ")
            _drop_the_blank_one(page)
            page.keyboard.press("u")
            expect(finding.get_by_role("heading")).to_have_text("Blank")
            page.keyboard.press("k")
        assert sent.value.request.post_data_json["decision"] == "relabel"
        assert sent.value.ok
        with page.expect_response(re.compile("hygiene/decisions")) as sent:
            page.keyboard.press("ArrowLeft")
        assert (sent.value.request.post_data_json["decision"], sent.value.ok) == ("keep", True)
        page.reload()
        expect(page.get_by_text("1 more was kept before")).to_be_visible()
        kinds = page.get_by_label("Show").locator("option").all_inner_texts()
        assert not [one for one in kinds if one.startswith(("Blank", "One picture"))]


def _drop_the_blank_one(page: Page) -> None:
    heading = page.get_by_role("region", name="Finding").get_by_role("heading")
    for _ in range(40):
        if heading.inner_text() == "Blank":
            break
        page.keyboard.press("ArrowRight")
    page.keyboard.press("d")
    expect(page.get_by_text("plum: dropped.")).to_be_visible()


def _tab_to(page: Page, name: str) -> None:
    """Tab until what has the focus says so; whatever has it must show it."""
    for _ in range(40):
        page.keyboard.press("Tab")
        text, outline = page.evaluate(
            "[document.activeElement.innerText ?? '', getComputedStyle(document.activeElement).outlineStyle]"
        )
        if page.evaluate("document.activeElement === document.body"):
            continue  # the end of the page: it begins again at the top
        assert outline != "none", f"the focus is not to be seen on {text!r}"
        if name in text.split("\n"):
            return
    raise AssertionError(f"the keyboard does not reach {name!r}")


def test_whoever_may_only_look_is_told_so_and_offered_nothing_else(chromium, site, screenshots, filled):
    with Watched(chromium, site.url, screenshots, "dark-", viewport=DESKTOP, color_scheme="dark") as watched:
        watched.sign_in(site.reader)
        expect(watched.page.get_by_role("button", name="Make the catalogue")).to_be_hidden()
        for place, heading in PLACES.items():
            watched.open("fruit", place, heading)
            watched.settled()
            watched.shot(place)
            offered = watched.page.get_by_role(
                "button", name=re.compile("^(Activate|Choose the|Drop|Keep|Relabel|Delete)")
            )
            expect(offered).to_have_count(0)
        watched.open("fruit", "add", "Add pictures")
        expect(watched.page.get_by_text("may look, but not change")).to_be_visible()


def test_an_empty_catalogue_says_what_to_do_next(chromium, site, screenshots):
    create_catalogue(site.context, "acme", "empty", "pixel")
    next_steps = {
        "overview": "It holds no picture yet",
        "add": "Drop a folder or pictures here",
        "classify": "Add pictures first",
        "search": "Add pictures first",
        "selections": "There is no selection yet",
        "map": "There is nothing to draw yet",
        "confusion": "There is nothing to show before references were chosen",
        "review": "There is nothing to review yet",
    }
    with Watched(chromium, site.url, screenshots, "empty-", viewport=PHONE) as watched:
        watched.sign_in(site.key)
        for place, told in next_steps.items():
            watched.open("empty", place, {**PLACES, "overview": "empty"}[place])
            expect(watched.page.get_by_role("main")).to_contain_text(told)
            watched.shot(place)
            watched.fits()
            watched.accessible()


def test_what_is_not_there_is_told_in_words(chromium, site, screenshots):
    with Watched(chromium, site.url, screenshots, "missing-", viewport=DESKTOP) as watched:
        watched.sign_in(site.key)
        watched.expected.append("404 (Not Found)")
        watched.page.goto("/#/c/nothing/overview")
        expect(watched.page.get_by_role("alert")).to_contain_text("There is no catalogue 'nothing'")
        watched.page.goto("/#/c/nothing/no-such-place")
        expect(watched.page.get_by_role("alert")).to_contain_text("There is no catalogue 'nothing'")


def test_a_key_that_works_no_longer_leads_back_to_the_sign_in(chromium, site, screenshots, filled):
    with Watched(chromium, site.url, screenshots, "ended-", viewport=DESKTOP) as watched:
        watched.sign_in(site.reader)
        watched.open("fruit", "overview", "fruit")
        watched.context.clear_cookies()
        watched.expected.append("401 (Unauthorized)")
        watched.page.get_by_role("link", name="Selections").click()
        expect(watched.page.get_by_label("Your key")).to_be_visible()
        expect(watched.page.get_by_role("navigation", name="Catalogue")).to_be_hidden()
        watched.page.get_by_label("Your key").fill(site.reader)
        watched.page.keyboard.press("Enter")
        expect(watched.page.get_by_role("heading", name="Selections")).to_be_visible()


def test_a_label_that_is_likely_wrong_is_shown_beside_pictures_of_the_likely_one(chromium, site, screenshots, filled):
    with Watched(chromium, site.url, screenshots, "likely-", viewport=DESKTOP) as watched:
        watched.sign_in(site.reader)
        watched.open("fruit", "review", "Review")
        watched.page.get_by_label("Show").select_option("label")
        finding = watched.page.get_by_role("region", name="Finding")
        expect(finding.get_by_role("heading", name="Label in doubt")).to_be_visible()
        expect(finding.get_by_role("figure").filter(has_text="To compare")).to_have_count(3)
        expect(finding.get_by_role("figure").filter(has_text="To compare").first).to_contain_text("plum")
        watched.settled()
        watched.shot("review")

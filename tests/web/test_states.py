"""States that a catalogue gets into: classes of words alone, labels that changed since, pictures that are not there."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from service.usecases.catalogues import create_catalogue
from service.usecases.decide import relabel
from tests.adapters import networks
from tests.api.filled import ingest, optimise, write_fruit
from tests.web.conftest import DESKTOP
from tests.web.pictures import STRANGE, asked
from tests.web.test_journey import choose
from tests.web.watching import Watched


@pytest.fixture
def watched_in(watched: Watched, site) -> Watched:
    watched.sign_in(site.key)
    return watched


def test_a_class_starts_from_words_answers_and_loses_them(watched_in: Watched, site, tmp_path):
    page = watched_in.page
    (tmp_path / "clip").mkdir()
    create_catalogue(site.context, "acme", "described", str(networks.write_clip(tmp_path / "clip")))
    watched_in.open("described", "overview", "described")
    for label, texts in (("red/apple", "a photo of a {label}\n\n  a {label} cut in half "), (STRANGE, "")):
        page.get_by_text("Start a class from words").click()
        page.get_by_label("Label").fill(label)
        page.get_by_label("What its pictures show").fill(texts)
        page.get_by_role("button", name="Start from words").click()
        expect(page.get_by_role("heading", level=2, name=label)).to_be_focused()
    watched_in.shot("words")
    watched_in.accessible()
    page.get_by_role("button", name=re.compile("^red.apple words$")).click()
    expect(page.locator(".templates li")).to_have_text(["a photo of a red/apple", "a red/apple cut in half"])
    watched_in.open("described", "classify", "Classify")
    expect(page.get_by_text("nothing to answer by")).to_have_count(0)
    choose(page, "Choose pictures", [asked(tmp_path / "asked")])
    expect(page.get_by_role("article")).to_contain_text("stands on words alone")
    watched_in.shot("answered-by-words")
    page.goto("/#/c/described/overview?label=red%2Fapple")
    page.get_by_role("button", name="Remove the words").click()
    expect(page.get_by_role("button", name=re.compile("words$"))).to_have_count(1)


def test_words_for_an_encoder_of_pictures_are_refused_in_words(watched_in: Watched, site):
    page = watched_in.page
    create_catalogue(site.context, "acme", "wordless", "pixel")
    watched_in.open("wordless", "overview", "wordless")
    page.get_by_text("Start a class from words").click()
    expect(page.get_by_text("Words need a CLIP encoder; this catalogue has pixel.")).to_be_visible()
    page.get_by_label("Label").fill("apple")
    watched_in.expected.append("422 (Unprocessable")
    page.get_by_role("button", name="Start from words").click()
    expect(page.get_by_role("alert")).to_contain_text("knows pictures only")


def test_relabellings_since_the_selection_was_measured_are_told_where_its_figures_are(
    watched_in: Watched, site, tmp_path
):
    page = watched_in.page
    ingest(site.context, "acme", "moved", write_fruit(tmp_path / "fruit", 6))
    optimise(site.context, "acme", "moved")
    watched_in.open("moved", "overview", "moved")
    expect(page.get_by_text("relabelled since")).to_have_count(0)
    catalogue = site.context.registry.catalogue("acme", "moved")
    for example in [one for one in site.context.registry.examples(catalogue.id) if one.label == "apple"][:2]:
        relabel(site.context, "acme", "moved", example.id, "plum")
    for place, heading in (("overview", "moved"), ("selections", "Selections"), ("confusion", "Confusion")):
        page.goto("/")
        watched_in.open("moved", place, heading)
        expect(page.get_by_text("2 pictures were relabelled since")).to_contain_text("2 to plum; 2 from apple")
        watched_in.accessible()
        watched_in.shot(f"changed-{place}")


def test_pictures_that_are_not_there_are_drawn_as_such(chromium, site, screenshots, tmp_path):
    ingest(site.context, "acme", "pictureless", write_fruit(tmp_path / "fruit", 4))
    catalogue = site.context.registry.catalogue("acme", "pictureless")
    with Watched(chromium, site.url, screenshots, "pictureless-", viewport=DESKTOP) as watched:
        watched.expected.append("404 (Not Found)")
        watched.page.route(re.compile("/thumbnail"), lambda route: route.fulfill(status=404, body=""))
        watched.sign_in(site.key)
        watched.open(catalogue.name, "overview", catalogue.name)
        watched.page.get_by_role("button", name=re.compile("^apple")).click()
        tiles = watched.page.get_by_role("list", name="Pictures of apple").get_by_role("img")
        expect(tiles.first).to_have_attribute("src", re.compile("no-picture"))
        watched.settled()
        assert tiles.first.evaluate("image => image.naturalWidth > 0")
        watched.shot("overview")


def test_a_long_name_leaves_room_to_sign_out_on_a_phone(chromium, site, screenshots):
    name = "a-catalogue-with-a-name-that-is-much-longer-than-a-phone-is-wide-and-has-no-room-for-a-break"
    create_catalogue(site.context, "acme", name, "pixel")
    with Watched(chromium, site.url, screenshots, "long-", viewport={"width": 400, "height": 800}) as watched:
        watched.sign_in(site.key)
        watched.shot("catalogues")
        watched.fits()
        watched.open(name, "overview", name)
        watched.shot("overview")
        watched.fits()
        masthead = watched.page.get_by_role("banner").bounding_box()
        assert masthead is not None
        assert masthead["height"] < 80


def test_a_service_that_is_away_is_asked_again_by_a_button(watched_in: Watched, site):
    page = watched_in.page
    create_catalogue(site.context, "acme", "away", "pixel")
    watched_in.expected.append("ERR_INTERNET_DISCONNECTED")
    page.context.set_offline(True)
    watched_in.open("away", "overview", "away")
    expect(page.get_by_role("alert")).to_contain_text("cannot be reached")
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("It holds no picture yet")).to_be_visible()
    watched_in.expected.append("503 (Service Unavailable)")
    page.route("**/v1/me", lambda route: route.fulfill(status=503, body="{}"))
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("The service answered 503")
    page.unroute("**/v1/me")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("It holds no picture yet")).to_be_visible()
    watched_in.expected.append("404 (Not Found)")
    page.goto("/#/c/nothing/overview")
    expect(page.get_by_role("alert")).to_contain_text("There is no catalogue 'nothing'")
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)

"""From a key to a catalogue that answers, in Chromium, as somebody would do it: drop, watch, ask, choose, review."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.web.pictures import EACH, STRANGE, asked, contested, fruit
from tests.web.watching import Watched

JOB_MS = 60_000
HELD = 4 * EACH + 3
"""Pictures of `fruit` that can be used."""


def test_the_whole_journey(watched: Watched, site, tmp_path):
    page = watched.page
    _a_wrong_key_is_told_in_words(watched, site.key)
    _a_catalogue_is_made(watched)
    _a_folder_is_dropped_and_its_job_watched(watched, fruit(tmp_path / "fruit"))
    _the_overview_shows_labels_as_text(watched)
    _a_picture_is_answered_before_any_optimisation(watched, asked(tmp_path / "asked"))
    _references_are_chosen(watched)
    _a_picture_is_answered_with_its_evidence(watched, asked(tmp_path / "asked"))
    _it_becomes_an_example(page)
    _pictures_are_searched(watched, asked(tmp_path / "asked", "plum"))
    _selections_are_compared_activated_and_rolled_back(watched)
    _the_map_is_walked_with_the_keyboard(watched)
    _a_cell_of_the_confusion_matrix_shows_its_pictures(watched)
    _loose_pictures_get_a_label(watched, contested(tmp_path / "contested"))
    _findings_are_decided(watched)
    _signed_out_nothing_is_shown(watched)


def _a_wrong_key_is_told_in_words(watched: Watched, key: str) -> None:
    page = watched.page
    watched.expected.append("401 (Unauthorized)")
    page.goto("/")
    watched.shot("01-sign-in")
    page.get_by_label("Your key").fill("holo_wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("key")
    watched.expected.clear()
    page.get_by_label("Your key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Catalogues")).to_be_visible()
    expect(page.get_by_text("There is no catalogue yet")).to_be_visible()
    assert page.evaluate("document.cookie") == ""
    watched.shot("02-no-catalogue")


def _a_catalogue_is_made(watched: Watched) -> None:
    page = watched.page
    page.get_by_label("Name").fill("fruit")
    page.get_by_role("button", name="Make the catalogue").click()
    expect(page.get_by_role("heading", level=1, name="Add pictures")).to_be_visible()
    expect(page.get_by_role("navigation", name="Catalogue").get_by_role("link", name="Add pictures")).to_have_attribute(
        "aria-current", "page"
    )
    watched.shot("03-add")


def _a_folder_is_dropped_and_its_job_watched(watched: Watched, folder: Path) -> None:
    page = watched.page
    drop(page, page.get_by_role("region", name="Drop a folder or pictures here"), [folder])
    expect(page.get_by_role("heading", name=f"{HELD + 1} pictures to add")).to_be_focused()
    fields = page.get_by_label(re.compile("^Label of "))
    assert [field.input_value() for field in fields.all()] == sorted(["apple", "lime", "plum", STRANGE])
    watched.shot("04-staged")
    page.get_by_role("button", name=f"Add {HELD + 1} pictures").click()
    job = page.get_by_role("region", name="Adding pictures")
    expect(job).to_have_attribute("data-state", "done", timeout=JOB_MS)
    expect(job.get_by_role("definition").first).to_have_text(str(HELD))
    expect(job).to_contain_text("1 picture could not be used")
    expect(job.get_by_role("listitem")).to_contain_text("broken.png")
    watched.shot("05-added")


def _the_overview_shows_labels_as_text(watched: Watched) -> None:
    page = watched.page
    watched.open("fruit", "overview", "fruit")
    page.get_by_role("button", name=STRANGE).click()
    tiles = page.get_by_role("list", name=f"Pictures of {STRANGE}").get_by_role("button")
    expect(tiles).to_have_count(EACH)
    expect(tiles.first).to_contain_text(STRANGE)
    tiles.first.click()
    dialog = page.get_by_role("dialog", name="Example")
    expect(dialog.get_by_text(STRANGE, exact=True)).to_be_visible()
    assert page.locator("img[src='x'], [onerror]").count() == 0
    watched.settled()
    watched.shot("06-example")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    watched.shot("07-overview")


def _a_picture_is_answered_before_any_optimisation(watched: Watched, picture: Path) -> None:
    page = watched.page
    watched.open("fruit", "classify", "Classify")
    drop(page, page.get_by_role("region", name="Drop a picture here"), [picture])
    expect(page.get_by_role("article")).to_contain_text("No optimisation yet")
    page.get_by_label("How careful").select_option("0.01")
    watched.expected.append("422 (Unprocessable")
    choose(page, "Choose pictures", [picture])
    expect(page.get_by_role("main").get_by_role("alert")).to_contain_text("optimise")
    watched.expected.clear()


def _references_are_chosen(watched: Watched) -> None:
    page = watched.page
    watched.open("fruit", "selections", "Selections")
    expect(page.get_by_text("There is no selection yet")).to_be_visible()
    for wanted in (1, 2):
        if wanted == 1:
            page.get_by_text("Options").click()
        # Of pictures this few a choice keeps one a class; only all of them are another set.
        page.get_by_label("Strategy").select_option({1: "all", 2: "auto"}[wanted])
        page.get_by_role("button", name="Choose the references").click()
        expect(page.get_by_role("table", name="All selections").locator("tbody tr")).to_have_count(
            wanted, timeout=JOB_MS
        )
        expect(page.get_by_role("region", name="Choosing references").first).to_have_attribute("data-state", "done")
    watched.settled()
    watched.shot("08-selections")


def _a_picture_is_answered_with_its_evidence(watched: Watched, picture: Path) -> None:
    page = watched.page
    watched.open("fruit", "classify", "Classify")
    drop(page, page.get_by_role("region", name="Drop a picture here"), [picture])
    answer = page.get_by_role("article")
    expect(answer.get_by_role("heading", level=2)).to_have_text("apple")
    confidence = answer.get_by_role("meter", name="confidence")
    assert float(confidence.get_attribute("aria-valuenow") or 0) > 0.5
    neighbours = answer.get_by_role("list", name="Nearest references").get_by_role("img")
    expect(neighbours.first).to_have_attribute("alt", re.compile("apple: "))
    watched.settled()
    assert all(neighbours.evaluate_all("images => images.map((one) => one.naturalWidth > 0)"))
    expect(page.get_by_role("status").filter(has_text="apple, confidence")).to_have_count(1)
    watched.shot("09-answer")


def _it_becomes_an_example(page: Page) -> None:
    expect(page.get_by_label("Use it as a new example of")).to_have_value("apple")
    page.get_by_role("button", name="Add", exact=True).click()
    job = page.get_by_role("region", name="Adding pictures")
    expect(job).to_have_attribute("data-state", "done", timeout=JOB_MS)
    expect(job.get_by_role("definition").first).to_have_text("1")


def _pictures_are_searched(watched: Watched, picture: Path) -> None:
    page = watched.page
    watched.open("fruit", "search", "Search")
    choose(page, "Choose a picture", [picture])
    found = page.get_by_role("list", name="Found").get_by_role("button")
    expect(found).to_have_count(12)
    expect(found.first).to_contain_text("plum")
    watched.settled()
    watched.shot("10-search")
    page.get_by_label("Label").select_option("lime")
    choose(page, "Choose a picture", [picture])
    expect(found.first).to_contain_text("lime")
    watched.expected.append("422 (Unprocessable")
    page.get_by_label("Words").fill("a ripe plum")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("alert")).to_contain_text("knows pictures only")
    watched.expected.clear()


def _selections_are_compared_activated_and_rolled_back(watched: Watched) -> None:
    page = watched.page
    watched.open("fruit", "selections", "Selections")
    points = page.get_by_role("group", name="Accuracy against number of references").get_by_role("button")
    expect(points).to_have_count(2)
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("heading", name=re.compile("^Only in the first: [1-9]"))).to_be_visible()
    watched.settled()
    watched.shot("11-compare")
    table = page.get_by_role("table", name="All selections")
    serving = table.locator("tr.active")
    before = serving.get_attribute("id")
    table.get_by_role("button", name=re.compile("^Activate")).click()
    expect(table.locator("tr.active")).not_to_have_id(before or "")
    page.get_by_role("button", name="Go back to the one before").click()
    expect(table.locator("tr.active")).to_have_id(before or "")
    with page.expect_popup() as opened:
        table.get_by_role("link", name=re.compile("^Report")).first.click()
    expect(opened.value.get_by_role("heading", level=1)).to_be_visible()
    opened.value.close()


def _the_map_is_walked_with_the_keyboard(watched: Watched) -> None:
    page = watched.page
    watched.open("fruit", "map", "Map")
    canvas = page.get_by_role("application")
    expect(canvas).to_have_attribute("aria-label", f"{HELD + 1} pictures of 4 labels")
    chosen = page.get_by_role("complementary", name="The chosen picture")
    canvas.focus()
    page.keyboard.press("ArrowRight")
    expect(chosen.locator("img")).to_be_visible()
    first = chosen.locator("img").get_attribute("src")
    for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"):
        page.keyboard.press(key)
    page.keyboard.press("ArrowLeft")
    expect(chosen.locator("img")).not_to_have_attribute("src", first or "")
    page.keyboard.press("+")
    watched.settled()
    watched.shot("12-map-near")
    page.keyboard.press("0")
    watched.shot("13-map")
    drawn = "canvas => new Set(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size"
    assert canvas.evaluate(drawn) > 50
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Example")).to_be_visible()
    page.keyboard.press("Escape")


def _a_cell_of_the_confusion_matrix_shows_its_pictures(watched: Watched) -> None:
    page = watched.page
    watched.open("fruit", "confusion", "Confusion")
    cell = page.get_by_role("table", name="Pictures by true label and answer").get_by_role("button").first
    count = int(cell.inner_text())
    cell.click()
    shown = (
        page.get_by_role("main").get_by_role("list", name=re.compile("answered right|taken for")).get_by_role("button")
    )
    expect(shown).to_have_count(count)
    watched.settled()
    watched.shot("14-confusion")


def _loose_pictures_get_a_label(watched: Watched, folder: Path) -> None:
    page = watched.page
    watched.open("fruit", "add", "Add pictures")
    choose(page, "Choose pictures", sorted((folder / "lime").iterdir()))
    page.get_by_label("Label of the 1 loose picture").fill("lime")
    page.get_by_role("button", name="Add 1 picture").click()
    job = page.get_by_role("region", name="Adding pictures")
    expect(job).to_have_attribute("data-state", "done", timeout=JOB_MS)
    expect(job).to_contain_text("in conflict")


def _findings_are_decided(watched: Watched) -> None:
    page = watched.page
    watched.open("fruit", "review", "Review")
    expect(page.get_by_role("heading", name="One picture under several labels")).to_be_visible()
    watched.settled()
    watched.shot("15-review")
    page.get_by_label("Its label").fill("apple")
    with page.expect_response(re.compile("hygiene/decisions")) as sent:
        page.get_by_role("button", name="Relabel (r)").click()
        expect(page.get_by_role("button", name="Undo (u)")).to_be_visible()
        page.get_by_role("link", name="Overview").click()
    assert sent.value.ok
    expect(page.get_by_role("button", name=f"apple {EACH + 2}")).to_be_visible()


def _signed_out_nothing_is_shown(watched: Watched) -> None:
    page = watched.page
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Your key")).to_be_visible()
    page.goto("/#/c/fruit/overview")
    page.reload()
    expect(page.get_by_label("Your key")).to_be_visible()
    assert page.context.cookies() == []


def drop(page: Page, zone: Locator, paths: list[Path]) -> None:
    """Files or folders of the disk, dropped as a file manager does it."""
    zone.scroll_into_view_if_needed()
    box = zone.bounding_box()
    assert box is not None
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})
    session.detach()


def choose(page: Page, button: str, paths: list[Path]) -> None:
    """Files, picked through the button."""
    with page.expect_file_chooser() as opened:
        page.get_by_role("button", name=button).click()
    opened.value.set_files(paths)

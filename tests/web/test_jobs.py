"""A job that waits: handed over in two requests, held up and let go on, with server-sent events and without."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from service.api.app import create_app
from service.bootstrap import open_context
from service.records import Quotas, Scope
from service.settings import Settings
from service.usecases.catalogues import create_catalogue
from service.usecases.ingest import start_ingest
from service.usecases.keys import create_key
from service.usecases.tenants import create_tenant
from tests.api.filled import write_fruit
from tests.api.serving import served
from tests.web.conftest import DESKTOP
from tests.web.test_journey import choose, drop
from tests.web.watching import Watched
from workers.embedded import embedded_workers


@pytest.mark.parametrize("events", ["events", "polling"])
def test_a_job_is_paused_resumed_cancelled_and_done(events, chromium, screenshots, tmp_path):
    settings = Settings(data_dir=tmp_path / "data", encoder="pixel", sweep_interval_s=0.5)
    with open_context(settings) as context, served(create_app(context, settings)) as url:
        create_tenant(context, "acme", Quotas())
        key = create_key(context, "acme", "page", tuple(Scope)).credential
        create_catalogue(context, "acme", "fruit", "pixel")
        with Watched(chromium, url, screenshots, f"{events}-", viewport=DESKTOP) as watched:
            if events == "polling":
                watched.expected.append("ERR_FAILED")
                watched.page.route("**/events", lambda route: route.abort())
            watched.sign_in(key)
            job = _handed_over(watched, write_fruit(tmp_path / "fruit", 24), picked=events == "polling")
            expect(job).to_have_attribute("data-state", "queued")
            job.get_by_role("button", name="Pause").click()
            expect(job).to_have_attribute("data-state", "paused")
            watched.shot("paused")
            watched.open("fruit", "add", "Add pictures")  # a job that is not done is there again
            job = watched.page.get_by_role("region", name="Adding pictures")
            job.get_by_role("button", name="Resume").click()
            expect(job).to_have_attribute("data-state", "queued")
            with embedded_workers(context, settings):
                expect(job).to_have_attribute("data-state", "done")
                expect(job).to_contain_text("72 of 72")
            again = _handed_over(watched, write_fruit(tmp_path / "more", labels=("kiwi",)))
            again.get_by_role("button", name="Cancel").click()
            expect(again.get_by_role("button")).to_have_count(0)
            with embedded_workers(context, settings):
                expect(again).to_have_attribute("data-state", "cancelled")


def test_pictures_beyond_a_quota_are_refused_at_once_and_their_job_is_cancelled(chromium, screenshots, tmp_path):
    settings = Settings(data_dir=tmp_path / "data", encoder="pixel")
    with open_context(settings) as context, served(create_app(context, settings)) as url:
        create_tenant(context, "acme", Quotas(examples=66))
        key = create_key(context, "acme", "page", tuple(Scope)).credential
        create_catalogue(context, "acme", "fruit", "pixel")
        with Watched(chromium, url, screenshots, "quota-", viewport=DESKTOP) as watched:
            watched.expected.append("429 (Too Many Requests)")
            watched.sign_in(key)
            watched.open("fruit", "add", "Add pictures")
            choose(watched.page, "Choose a folder", [write_fruit(tmp_path / "fruit", 24)])  # two requests
            watched.page.get_by_role("button", name="Add ").last.click()
            expect(watched.page.get_by_role("alert")).to_contain_text("64 of 66 examples are stored or on their way")
            (job,) = context.registry.jobs_page("acme", limit=2)
            assert job[1].cancelled_at is not None


def _handed_over(watched: Watched, folder: Path, *, picked: bool = False) -> Locator:
    page = watched.page
    watched.open("fruit", "add", "Add pictures")
    if picked:
        choose(page, "Choose a folder", [folder])
    else:
        drop(page, page.get_by_role("region", name="Drop a folder or pictures here"), [folder])
    expect(page.get_by_label("Label of ")).to_have_count(len(list(folder.iterdir())))
    page.get_by_role("button", name="Add ").last.click()
    return page.get_by_role("region", name="Adding pictures").first


def test_one_job_is_followed_by_events_and_the_others_by_asking(chromium, screenshots, tmp_path):
    settings = Settings(data_dir=tmp_path / "data", encoder="pixel", sweep_interval_s=0.5)
    with open_context(settings) as context, served(create_app(context, settings)) as url:
        create_tenant(context, "acme", Quotas())
        key = create_key(context, "acme", "page", tuple(Scope)).credential
        for label in ("apple", "lime", "plum"):
            folder = write_fruit(tmp_path / label, 4, (label,))
            start_ingest(context, "acme", "fruit", folder, encoder="pixel")
        with Watched(chromium, url, screenshots, "several-", viewport=DESKTOP) as watched:
            asked: list[str] = []
            watched.page.on("request", lambda request: asked.append(request.url) if "/events" in request.url else None)
            watched.sign_in(key)
            watched.open("fruit", "add", "Add pictures")
            jobs = watched.page.get_by_role("region", name="Adding pictures")
            expect(jobs).to_have_count(3)
            with embedded_workers(context, settings):
                for number in range(3):
                    expect(jobs.nth(number)).to_have_attribute("data-state", "done")
            assert len([one for one in asked if one.endswith("/events")]) == 1

"""A real server on a free port over the embedded parts, and Debian's Chromium that looks at its page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from service.api.app import create_app
from service.bootstrap import open_context
from service.records import Quotas, Scope
from service.settings import Settings
from service.usecases.context import Context
from service.usecases.keys import create_key
from service.usecases.tenants import create_tenant
from tests.api.serving import served
from tests.web.watching import Watched
from workers.embedded import embedded_workers

CHROMIUM = shutil.which("chromium")
DESKTOP = {"width": 1280, "height": 900}


@dataclass(frozen=True, slots=True)
class Site:
    """A server that answers, and a key with every scope to its page."""

    url: str
    context: Context
    key: str
    reader: str


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [one for one in os.environ if one.startswith("HOLOTYPE_")]:
            patch.delenv(name)
        settings = Settings(
            data_dir=tmp_path_factory.mktemp("web") / "data", encoder="pixel", chunk_images=8, sweep_interval_s=0.5
        )
    with open_context(settings) as context, embedded_workers(context, settings):
        create_tenant(context, "acme", Quotas())
        key = create_key(context, "acme", "page", tuple(Scope)).credential
        reader = create_key(context, "acme", "visitor", (Scope.READ,)).credential
        with served(create_app(context, settings)) as url:
            yield Site(url, context, key, reader)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking", "--disable-gpu"]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def screenshots(tmp_path_factory) -> Path:
    """Where the pictures of the page go, for somebody to look at."""
    return tmp_path_factory.mktemp("screenshots")


@pytest.fixture
def watched(chromium, site, screenshots) -> Iterator[Watched]:
    """The page before anybody signed in, on a desktop. What its console complains of fails the test."""
    with Watched(chromium, site.url, screenshots, "desktop-", viewport=DESKTOP) as opened:
        yield opened

"""What the harness knows of each tenant: pictures that were accepted, under which label, and what changes them now."""

from __future__ import annotations

import hashlib
import io
import random
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from service.client import Holotype
from service.client.retrying import Retrying
from service.client.routes.jobs import Picture

CLASSES = 4
NOISE = 60
CATALOGUE = "things"
QUERIES = 12
FEWEST = 12
"""A tenant without a picture is rightly told that nothing can answer: operations leave so many alone."""


def label_of(code: int) -> str:
    """A class's name."""
    return f"class-{code:02}"


def picture(code: int, rng: np.random.Generator, text: bytes = b"") -> bytes:
    """PNG of a class: its 4 x 4 colours, each off by up to NOISE; with a text in it, where one is given."""
    grid = np.random.default_rng(1000 + code).integers(60, 196, (4, 4, 3))
    colours = np.clip(grid + rng.integers(-NOISE, NOISE + 1, grid.shape), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    told = PngInfo()
    if text:
        told.add_text("Comment", text)
    drawn = Image.fromarray(colours).resize((24, 24), Image.Resampling.NEAREST)
    drawn.save(buffer, "PNG", compress_level=1, pnginfo=told)
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class Accepted:
    """A job that the service has taken, with the number of its pictures."""

    job: str
    pictures: int
    kind: str


@dataclass(slots=True)
class Tenant:
    """One tenant, its client, and what its catalogue has to hold: label by content hash.

    `poison` are hashes of pictures that end whoever decodes them: accepted, and to be refused with a reason in the end.
    `members_change` counts the operations at work that may change which references serve; `changes` those ever begun.
    """

    name: str
    key: str
    client: Holotype
    patient: Holotype
    seed: int
    expected: dict[str, str] = field(default_factory=dict)
    accepted: list[Accepted] = field(default_factory=list)
    queries: list[tuple[str, bytes]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    members_change: int = 0
    changes: int = 0
    publishing: int = 0
    made: int = 0
    taken: set[str] = field(default_factory=set)
    poison: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        rng = np.random.default_rng((self.seed, 7))
        self.queries = [(f"{label_of(n % CLASSES)}/q{n}.png", picture(n % CLASSES, rng)) for n in range(QUERIES)]

    def pictures(self, count: int, text: bytes = b"") -> list[Picture]:
        """Pictures that nobody has seen, of all classes by turns."""
        made = []
        for _ in range(count):
            with self.lock:
                self.made += 1
                number = self.made
            code = number % CLASSES
            content = picture(code, np.random.default_rng((self.seed, 11, number)), text)
            source = f"{label_of(code)}/{self.name}-{number:06}.png"
            made.append(Picture(source=source, content=content, label=label_of(code)))
        return made

    def stored(self, pictures: list[Picture]) -> None:
        """They were accepted and their job is done: from now on they have to be there."""
        with self.lock:
            for one in pictures:
                self.expected[hashlib.sha256(one.content).hexdigest()] = one.label or ""

    def reserve(self, rng: random.Random, count: int, among: Collection[str] | None = None) -> list[str]:
        """Content hashes of pictures that are there, for one operation alone; FEWEST are left to answer."""
        with self.lock:
            left = set(self.expected) - self.taken
            free = sorted(left if among is None else left.intersection(among))
            chosen = rng.sample(free, max(0, min(count, len(free), len(left) - FEWEST)))
            self.taken.update(chosen)
        return chosen

    def released(self, hashes: list[str], label: str | None) -> None:
        """The operation is over: they have this label now, None where they are gone."""
        with self.lock:
            self.taken.difference_update(hashes)
            for one in hashes:
                if label is None:
                    self.expected.pop(one, None)
                else:
                    self.expected[one] = label

    @contextmanager
    def changing(self, *, members: bool = False, publishing: bool = False) -> Iterator[None]:
        """For the length of the block answers may change under the prober's eyes."""
        with self.lock:
            self.members_change += members
            self.publishing += publishing
            self.changes += 1
        try:
            yield
        finally:
            with self.lock:
                self.members_change -= members
                self.publishing -= publishing
                self.changes += 1

    def close(self) -> None:
        """Let go of the connections."""
        self.client.close()
        self.patient.close()

    def state(self) -> tuple[int, int, int]:
        """To be compared before and after a query: what was at work, and how often that changed."""
        with self.lock:
            return self.members_change, self.publishing, self.changes


def new_tenant(url: str, admin_key: str, name: str, seed: int) -> Tenant:
    """The tenant, with a key that may do everything that is its own."""
    with Holotype(url, admin_key) as admin:
        admin.create_tenant(name)
        key = admin.create_key(name, "faults", ["read", "write"]).key
    client = Holotype(url, key, timeout_s=20, retrying=Retrying(attempts=1))
    return Tenant(name, key or "", client, Holotype(url, key, timeout_s=60), seed)

"""How many pictures a second does the API answer, how long does each wait, and what does a bulk ingest do to that?

    scripts/bench_api [--quick] [--seconds S] [--encoder E] [--json FILE] [--readme]

`holotype serve` runs as it is in a process of its own. Clients ask in a closed loop, one picture a request: each sends
its next when its last is answered. The bare forward pass is measured right before and after each row,
in this process, while the server is idle, so that whatever else the machine does slows both: the same network on
batches as large as the clients could fill. The clients share the machine with the server.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_digits

from scripts.bench.api_tables import COLUMNS, bare_name, batch_of, rows, written
from scripts.bench.machine import machine, versions
from scripts.bench.pictures import cache_folder
from scripts.bench.server import Server, cancel, checked, finish, ingest, optimise, served
from scripts.bench.tables import write_section
from service.adapters.batched_encoders import LARGEST_CPU
from service.adapters.encoders import Encoders
from service.adapters.images import PillowDecoder
from service.settings import PACKAGED_ENCODER

README = Path(__file__).parents[2] / "README.md"
CLIENTS = (1, 8, 64)
EDGE_PX = 256
"""Edge of the pictures: they are decoded and made small, as photographs are."""
BULK_A_SECOND = 150
"""Pictures of a bulk ingest for each second of measuring: more than can be embedded in it."""
PATIENCE_S = 600.0
WARM_UP = 0.25
"""Share of the time that is not counted, at the beginning."""


@dataclass(frozen=True)
class Load:
    """What a number of clients met: seconds of each request, and the time in which all were answered."""

    waits_s: np.ndarray
    seconds: float

    def figures(self, prefix: str) -> dict[str, float]:
        """Requests a second, and quantiles of the waiting in milliseconds."""
        quantiles = {name: 1000 * float(np.quantile(self.waits_s, q)) for name, q in QUANTILES.items()}
        return {
            f"{prefix}.requests": float(len(self.waits_s)),
            f"{prefix}.requests_per_s": len(self.waits_s) / self.seconds,
            **{f"{prefix}.{name}": value for name, value in quantiles.items()},
        }


QUANTILES = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}


def digit_pictures(count: int, seed: int) -> list[tuple[str, bytes]]:
    """(digit, PNG) with noise of the seed, so that no two are the same picture, and those of two seeds neither."""
    digits = load_digits()
    random = np.random.default_rng(seed)
    made = []
    for number in range(count):
        row = number % len(digits.target)
        grey = Image.fromarray((digits.images[row] * 255 / 16).round().astype(np.uint8))
        pixels = np.asarray(grey.resize((EDGE_PX, EDGE_PX), Image.Resampling.BICUBIC)).astype(float)
        coarse = random.normal(0, 12, (EDGE_PX // 8, EDGE_PX // 8)).repeat(8, axis=0).repeat(8, axis=1)
        buffer = io.BytesIO()
        Image.fromarray(np.clip(pixels + coarse, 0, 255).astype(np.uint8)).save(buffer, "PNG", compress_level=1)
        made.append((str(digits.target[row]), buffer.getvalue()))
    return made


class Bare:
    """The forward pass alone, and what comes before it: decoding and preprocessing, one thread."""

    def __init__(self, encoder_name: str, pictures: Sequence[bytes]) -> None:
        self._encoder = Encoders(cache_folder() / "encoders").load(encoder_name)
        decoder = PillowDecoder()
        began = time.perf_counter()
        self._inputs = [
            self._encoder.preprocess(decoder.decode(one, self._encoder.shortest_edge_px).pixels) for one in pictures
        ]
        self.prepare_ms = 1000 * (time.perf_counter() - began) / len(pictures)

    def per_s(self, clients: int, seconds: float) -> float:
        """Pictures a second in batches that so many clients can fill, for `seconds`, one batch at least."""
        size = batch_of(clients)
        batch = (self._inputs * -(-size // len(self._inputs)))[:size]
        self._encoder.encode(batch[:1])
        count, began = 0, time.perf_counter()
        while not count or time.perf_counter() - began < seconds:
            self._encoder.encode(batch)
            count += size
        return count / (time.perf_counter() - began)


async def loaded(server: Server, clients: int, pictures: Sequence[bytes], seconds: float) -> Load:
    """`clients` of them, for `seconds` that count after a warm-up, and until each was answered once."""
    begin = time.perf_counter() + WARM_UP * seconds
    end = begin + seconds
    waits: list[tuple[float, float]] = []
    headers = {"Authorization": f"Bearer {server.key}", "Content-Type": "image/png"}
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)

    async def one(first: int, client: httpx.AsyncClient) -> None:
        number, counted = first, 0
        while (asked := time.perf_counter()) < end or not counted:
            answer = await client.post("/v1/catalogues/digits:classify", content=pictures[number % len(pictures)])
            (item,) = checked(answer)["items"]
            if "error" in item:
                raise RuntimeError(f"the server could not answer: {item['error']}")
            answered = time.perf_counter()
            if answered >= begin:
                waits.append((answered, answered - asked))
                counted += 1
            number += clients

    async with httpx.AsyncClient(base_url=server.url, headers=headers, limits=limits, timeout=PATIENCE_S) as client:
        await asyncio.gather(*(one(first, client) for first in range(clients)))
    return Load(np.array([wait for _, wait in waits]), max(answered for answered, _ in waits) - begin)


def measured(
    server: Server, bare: Bare, queries: Sequence[bytes], seconds: float, console: Console
) -> dict[str, float]:
    """Every number of clients, alone and beside a bulk ingest, each between two measurements of the bare pass."""
    figures: dict[str, float] = {"bare.prepare_ms": bare.prepare_ms}
    rows = [(state, clients) for state in ("idle", "ingest") for clients in CLIENTS]
    with server.client() as client:
        for state, clients in rows:
            prefix = f"{state}.clients{clients}"
            console.print(f"{clients} clients{' beside an ingest' if state == 'ingest' else ''}")
            around = [bare.per_s(clients, seconds / 4)]
            if state == "idle":
                figures |= asyncio.run(loaded(server, clients, queries, seconds)).figures(prefix)
            else:
                figures |= _beside_an_ingest(server, client, clients, queries, seconds)
            around.append(bare.per_s(clients, seconds / 4))
            figures[bare_name(prefix)] = float(np.mean(around))
    return figures


def _beside_an_ingest(
    server: Server, client: httpx.Client, clients: int, queries: Sequence[bytes], seconds: float
) -> dict[str, float]:
    """The clients while a job has more pictures than it can embed meanwhile; it has ended at the return."""
    prefix = f"ingest.clients{clients}"
    count = round(BULK_A_SECOND * seconds * (1 + WARM_UP))
    pictures = {f"{label}/{n}.png": data for n, (label, data) in enumerate(digit_pictures(count, 100 + clients))}
    job = ingest(client, "bulk", pictures)
    before, began = checked(client.get(f"/v1/jobs/{job}")), time.perf_counter()
    figures = asyncio.run(loaded(server, clients, queries, seconds)).figures(prefix)
    after, took = checked(client.get(f"/v1/jobs/{job}")), time.perf_counter() - began
    figures[f"{prefix}.ingested_per_s"] = (after["done"] - before["done"]) / took
    figures[f"{prefix}.outlasted"] = float(after["done"] < after["total"])
    cancel(client, job)
    return figures


def print_table(console: Console, figures: dict[str, float]) -> None:
    """One row a number of clients, beside the bare pass on a batch that they could fill."""
    table = Table(title="Classify, one picture a request")
    for column in COLUMNS:
        table.add_column(column, justify="right")
    for row in rows(figures, CLIENTS):
        table.add_row(*row)
    console.print(table)


def run(encoder: str, seconds: float, *, each: int, trials: int, console: Console) -> dict[str, float]:
    """All figures: a server on a data directory of its own, a catalogue of digits, and then the clients."""
    queries = [data for _, data in digit_pictures(128, 1)]
    with (
        tempfile.TemporaryDirectory(prefix="holotype-bench-") as folder,
        served(Path(folder) / "data", encoder) as server,
    ):
        with server.client() as client:
            console.print(f"a catalogue of {10 * each} pictures")
            pictures = {f"{label}/{n}.png": data for n, (label, data) in enumerate(digit_pictures(10 * each, 0))}
            finish(client, ingest(client, "digits", pictures))
            optimise(client, "digits", trials)
        return measured(server, Bare(encoder, queries[:LARGEST_CPU]), queries, seconds, console)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="How many pictures a second does the API answer?")
    parser.add_argument("--quick", action="store_true", help="a few seconds for each number of clients")
    parser.add_argument("--seconds", type=float, help="for each number of clients; 3 with --quick, else 20")
    parser.add_argument("--encoder", default=PACKAGED_ENCODER)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--readme", action="store_true", help="write the table into the README")
    arguments = parser.parse_args()
    console = Console(stderr=True)
    seconds = arguments.seconds or (3.0 if arguments.quick else 20.0)
    each, trials = (6, 3) if arguments.quick else (30, 20)
    figures = run(arguments.encoder, seconds, each=each, trials=trials, console=console)
    print_table(Console(), figures)
    result = {
        "benchmark": "api", "encoder": arguments.encoder, "seconds": seconds, "quick": arguments.quick,
        "machine": machine(), "versions": versions(), "figures": figures,
    }  # fmt: skip
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.readme:
        write_section(README, "api", written(result, CLIENTS))


if __name__ == "__main__":
    main()

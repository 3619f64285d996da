"""How long does an answer by vector take, and what does it grow with? Searching alone, no picture is encoded.

    scripts/bench_search [--quick] [--seed N] [--json FILE] [--readme]

The flagged search of the store that serves (Qdrant Edge; a server too, where HOLOTYPE_QDRANT_URL is set), with the vote
behind it, asked one query at a time and 64 at once. Three things grow, each alone: references, points that are no
references, and other tenants' catalogues. Beside it, turn and turn about in one run: the exact product in NumPy over
the same references, which is the limit, the copies in memory (HOLOTYPE_HOT_REFERENCES_MB), Edge without an index over
the flags, and the client's local mode where it finishes.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from qdrant_client import QdrantClient
from rich.console import Console
from rich.table import Table

from scripts.bench.machine import machine, versions
from scripts.bench.search_points import WIDTH, BareEdge, Catalogue, Filling, disk_mb, inserted, without_flag_index
from scripts.bench.search_timing import exponent, in_turns, quantiles
from scripts.bench.tables import write_results
from service.adapters.vector_edge import EdgeStore
from service.adapters.vector_hot import HotEdgeStore
from service.adapters.vector_qdrant import QdrantStore
from service.ports import VectorStore

ROOT = Path(__file__).resolve().parents[2]
REFERENCES = 500
"""Of the catalogue that is asked, where something else grows."""
REFERENCE_STEPS = (100, 1_000, 20_000)
HEADLINE = 1_000
"""References at which `search.ratio_to_numpy` is told."""
POINT_STEPS = (1_000, 10_000, 100_000, 1_000_000)
CATALOGUE_STEPS = (1, 100, 10_000)
QUICK_POINTS = 100_000
OTHERS = 20_000
"""Points of other catalogues."""
LOCAL_POINTS = 10_000
"""More take the client's local mode seconds a query."""
HOT_BYTES = 2**30
BATCHES = (1, 64)

Opened = Callable[[Path], VectorStore]


def named(references: int, points: int, catalogues: int, batch: int) -> str:
    """The end of a figure's name."""
    return f"refs{references}.points{points}.catalogues{catalogues}.batch{batch}"


def measured(
    prefix: str, asked: dict[str, tuple[VectorStore, Catalogue]], sizes: tuple[int, int, int], *, limit: bool
) -> dict[str, float]:
    """Figures of stores that hold the same catalogue; `limit` adds NumPy and the ratios to it.

    The first of `asked` goes by `prefix` alone, further ones by `prefix.name`.
    """
    figures: dict[str, float] = {}
    first = next(iter(asked))
    for batch in BATCHES:
        ways = {name: catalogue.asking(store, batch) for name, (store, catalogue) in asked.items()}
        if limit:
            ways["numpy"] = asked[first][1].product(batch)
        times = in_turns(ways)
        for name, waits in times.items():
            found = quantiles(waits, batch)
            start = prefix if name == first else f"{prefix}.{name}"
            figures |= {f"{start}.{figure}.{named(*sizes, batch)}": value for figure, value in found.items()}
            if limit and name != "numpy":
                ratio = found["p50_ms"] / quantiles(times["numpy"], batch)["p50_ms"]
                figures[f"{start}.ratio_to_numpy.refs{sizes[0]}.batch{batch}"] = ratio
    return figures


def references_grow(prefix: str, opened: Opened, folder: Path, seed: int) -> dict[str, float]:
    """More flagged references in one catalogue of 20 000 points, and the ways that compete."""
    figures: dict[str, float] = {}
    plain = opened(folder / "references")
    hot = HotEdgeStore(folder / "hot", HOT_BYTES) if isinstance(plain, EdgeStore) else None
    asked = {
        name: (store, Catalogue.new(store, seed))
        for name, store in ({"store": plain} | ({"hot": hot} if hot else {})).items()
    }
    for store, catalogue in asked.values():
        catalogue.grow(store, OTHERS)
    for references in REFERENCE_STEPS:
        for store, catalogue in asked.values():
            catalogue.flag(store, references)
        figures |= measured(prefix, asked, (references, OTHERS, 1), limit=True)
    plain.close()
    if hot:
        hot.close()
    return figures


def written(way: str, steps: Sequence[int], filled: Sequence[Filling]) -> dict[str, float]:
    """How fast points came in from each size to the next, by the clock and in the processor's time, and how that grows.

    The first step is a shard just made, and counts in no exponent.
    """
    figures: dict[str, float] = {}
    for figure in ("per_s", "cpu_us"):
        values = [getattr(one, figure) for one in filled]
        figures |= {f"ingest.{way}_{figure}.points{p}": value for p, value in zip(steps, values, strict=True)}
        figures[f"ingest.{way}_{figure}_exponent"] = exponent(steps[1:], values[1:])
    return figures


def points_grow(prefix: str, opened: Opened, folder: Path, steps: tuple[int, ...], seed: int) -> dict[str, float]:
    """More points that are no references, in the same catalogue; how fast they come in, and what they take.

    Beside Edge a bare one grows, a step behind.
    """
    store = opened(folder / "points")
    bare = BareEdge.new(folder / "bare", seed) if isinstance(store, EdgeStore) else None
    catalogue = Catalogue.new(store, seed)
    figures: dict[str, float] = {}
    filled: list[Filling] = []
    bare_filled: list[Filling] = []
    for points in steps:
        filled.append(catalogue.grow(store, points))
        if bare:
            bare_filled.append(bare.grow(points))
        if points == steps[0]:
            catalogue.flag(store, REFERENCES)
        figures |= measured(prefix, {"store": (store, catalogue)}, (REFERENCES, points, 1), limit=False)
    p50 = [figures[f"{prefix}.p50_ms.{named(REFERENCES, points, 1, 1)}"] for points in steps]
    figures[f"{prefix}.exponent.points"] = exponent(steps, p50)
    figures |= written("vectors", steps, filled)
    figures["ingest.memory_mb_per_million"] = sum(one.memory_mb for one in filled) / steps[-1] * 1e6
    store.close()
    if bare:
        bare.shard.close()
        figures |= written("upserts", steps, bare_filled)
        figures["ingest.ratio_to_upsert"] = filled[-1].per_s / bare_filled[-1].per_s
        figures["ingest.disk_mb_per_million"] = disk_mb(folder / "points") / steps[-1] * 1e6
    return figures


def catalogues_grow(prefix: str, opened: Opened, folder: Path, seed: int) -> dict[str, float]:
    """The same points of others, in more and more catalogues of as many tenants, each with a reference of its own."""
    store = opened(folder / "catalogues")
    figures: dict[str, float] = {}
    for catalogues in CATALOGUE_STEPS:
        catalogue = Catalogue.new(store, seed)
        catalogue.grow(store, 2 * REFERENCES)
        catalogue.flag(store, REFERENCES)
        inserted(store, catalogue, OTHERS, catalogues)
        sizes = (REFERENCES, OTHERS, catalogues)
        figures |= measured(prefix, {"store": (store, catalogue)}, sizes, limit=False)
    p50 = [figures[f"{prefix}.p50_ms.{named(REFERENCES, OTHERS, count, 1)}"] for count in CATALOGUE_STEPS]
    store.close()
    return figures | {f"{prefix}.exponent.catalogues": exponent(CATALOGUE_STEPS, p50)}


def alternatives(folder: Path, seed: int) -> dict[str, float]:
    """What there would be instead: no index over the flags, and the client's local mode."""
    figures: dict[str, float] = {}
    with without_flag_index():
        unindexed = EdgeStore(folder / "unindexed")
        catalogue = Catalogue.new(unindexed, seed)
        for points in (step for step in POINT_STEPS if step <= QUICK_POINTS):
            catalogue.grow(unindexed, points)
            if points == POINT_STEPS[0]:
                catalogue.flag(unindexed, REFERENCES)
            ways = {"store": (unindexed, catalogue)}
            figures |= measured("search.unindexed", ways, (REFERENCES, points, 1), limit=False)
        unindexed.close()
    local = QdrantStore.local()
    catalogue = Catalogue.new(local, seed)
    for points in (POINT_STEPS[0], LOCAL_POINTS):
        catalogue.grow(local, points)
        if points == POINT_STEPS[0]:
            catalogue.flag(local, REFERENCES)
        figures |= measured("search.local", {"store": (local, catalogue)}, (REFERENCES, points, 1), limit=False)
    local.close()
    return figures


def on_server(url: str, folder: Path, steps: tuple[int, ...], seed: int) -> dict[str, float]:
    """The same on a Qdrant server, in collections that are deleted afterwards."""
    key = os.environ.get("HOLOTYPE_QDRANT_API_KEY")

    def opened(_: Path) -> VectorStore:
        return QdrantStore.at(url, key)

    client = QdrantClient(url=url, api_key=key)
    before = {one.name for one in client.get_collections().collections}
    try:
        figures = references_grow("search.server", opened, folder, seed)
        grown = points_grow("search.server", opened, folder, steps, seed)
        figures |= {name.replace("ingest.", "ingest.server."): value for name, value in grown.items()}
        return figures | catalogues_grow("search.server", opened, folder, seed)
    finally:
        for one in client.get_collections().collections:
            if one.name not in before and one.name.startswith("bench-"):
                client.delete_collection(one.name)


def run(folder: Path, seed: int, steps: tuple[int, ...], console: Console) -> dict[str, float]:
    """All figures."""
    figures: dict[str, float] = {}
    parts: dict[str, Callable[[], dict[str, float]]] = {
        "references": lambda: references_grow("search", EdgeStore, folder, seed),
        "points": lambda: points_grow("search", EdgeStore, folder, steps, seed),
        "catalogues": lambda: catalogues_grow("search", EdgeStore, folder, seed),
        "alternatives": lambda: alternatives(folder, seed),
    }
    if url := os.environ.get("HOLOTYPE_QDRANT_URL"):
        parts["server"] = lambda: on_server(url, folder, steps, seed)
    for name, part in parts.items():
        console.print(f"{name} ...")
        figures |= part()
    for way in ("search", "search.hot"):
        figures[f"{way}.ratio_to_numpy"] = figures[f"{way}.ratio_to_numpy.refs{HEADLINE}.batch1"]
    return figures


def print_tables(console: Console, figures: dict[str, float]) -> None:
    """Every search, then the single figures."""
    table = Table(title=f"Answers by vector, {WIDTH} wide, the ten best classes of a hundred")
    for column in ("way", "references", "points", "catalogues", "batch", "p50 ms", "p95 ms", "p99 ms", "a second"):
        table.add_column(column, justify="left" if column == "way" else "right")
    for name, value in figures.items():
        if ".p50_ms." in name:
            way, sizes = name.split(".p50_ms.")
            others = [figures[f"{way}.{figure}.{sizes}"] for figure in ("p95_ms", "p99_ms", "per_s")]
            counts = ["".join(filter(str.isdigit, part)) for part in sizes.split(".")]
            table.add_row(way, *counts, f"{value:.3f}", f"{others[0]:.3f}", f"{others[1]:.3f}", f"{others[2]:.0f}")
    console.print(table)
    for name, value in figures.items():
        if not name.split(".")[-1].startswith("batch") or "ratio" in name:
            console.print(f"{name}: {value:.4g}")


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(
        prog="bench_search", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=f"up to {QUICK_POINTS} points")
    parser.add_argument("--seed", type=int, default=0, help="of points and queries")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--readme", action="store_true", help="write the table into the README")
    arguments = parser.parse_args()
    steps = tuple(step for step in POINT_STEPS if step <= QUICK_POINTS) if arguments.quick else POINT_STEPS
    with tempfile.TemporaryDirectory(prefix="bench-search-") as folder:
        figures = run(Path(folder), arguments.seed, steps, Console(stderr=True))
    print_tables(Console(), figures)
    result = {
        "benchmark": "search", "seed": arguments.seed, "quick": arguments.quick,
        "machine": machine(), "versions": versions(), "figures": figures,
    }  # fmt: skip
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.readme:
        write_results(ROOT / "README.md", "search", result)


if __name__ == "__main__":
    main()

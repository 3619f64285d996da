"""The README's tables of what answers and choices cost, from the benchmarks' files."""

from __future__ import annotations


def told_machine(result: dict) -> str:
    """What it was measured on, in half a line."""
    machine = result["machine"]
    quick = ", a quick run" if result["quick"] else ""
    return f"{machine['cores']} cores of {machine['processor']}{quick}"


def search_section(result: dict) -> str:
    """Every way to answer, then what grows."""
    figures, versions = result["figures"], result["versions"]
    used = f"qdrant-edge-py {versions['qdrant-edge-py']}, numpy {versions['numpy']}"
    rows = [
        f"{told_machine(result)}; {used}. Milliseconds of a call.",
        "",
        "| way | references | points | catalogues | batch | p50 | p95 | p99 | queries a second |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, p50 in figures.items():
        if ".p50_ms." in name:
            way, sizes = name.split(".p50_ms.")
            p95, p99, rate = (figures[f"{way}.{figure}.{sizes}"] for figure in ("p95_ms", "p99_ms", "per_s"))
            counts = " | ".join("".join(filter(str.isdigit, part)) for part in sizes.split("."))
            rows.append(f"| {WAYS.get(way, way)} | {counts} | {p50:.2f} | {p95:.2f} | {p99:.2f} | {rate:.0f} |")
    return "\n".join([*rows, "", _grown(figures)])


WAYS = {
    "search": "Edge, flagged",
    "search.hot": "copies in memory",
    "search.numpy": "NumPy, the limit",
    "search.unindexed": "Edge, no flag index",
    "search.local": "local mode",
    "search.server": "server, flagged",
}


def _grown(figures: dict[str, float]) -> str:
    """What it grows with, in sentences."""
    memory, disk = (figures[f"ingest.{kind}_mb_per_million"] / 1024 for kind in ("memory", "disk"))
    return (
        f"Growth of the flagged search, as an exponent: {figures['search.exponent.points']:z.2f} with points that are "
        f"no references, {figures['search.exponent.catalogues']:z.2f} with other tenants' catalogues. Over NumPy at "
        f"1000 references, one query: {figures['search.ratio_to_numpy']:.0f} times for the search, "
        f"{figures['search.hot.ratio_to_numpy']:.1f} for the copies. Vectors written a second, from each size to the "
        f"next: {_written(figures, 'vectors')}. Bare Edge with the same indexes and flushes, its points ready: "
        f"{_written(figures, 'upserts')}. A million points take {memory:.1f} GB of memory and {disk:.1f} GB of disk."
    )


def _written(figures: dict[str, float], way: str) -> str:
    """How fast, what of the processor's time a point took, and how both grow."""
    start = f"ingest.{way}_per_s.points"
    steps = sorted(int(name.removeprefix(start)) for name in figures if name.startswith(start))
    rates = ", ".join(f"{figures[f'{start}{step}']:.0f} up to {step}" for step in steps)
    spent = ", ".join(f"{figures[f'ingest.{way}_cpu_us.points{step}']:.0f}" for step in steps)
    slope, cpu_slope = (figures[f"ingest.{way}_{figure}_exponent"] for figure in ("per_s", "cpu_us"))
    return (
        f"{rates} points, an exponent of {slope:.2f} (microseconds of the processor for one: {spent}; "
        f"an exponent of {cpu_slope:.2f})"
    )


def _beside(figures: dict[str, float], end: str) -> str:
    """The last columns of a row; empty where the others were not asked."""
    if f"select.sweep_seconds.{end}" not in figures:
        return " | | | "
    more = "" if figures[f"select.optuna_reached.{end}"] else "more than "
    return (
        f"{figures[f'select.sweep_seconds.{end}']:.3f} | {more}{figures[f'select.ratio_to_optuna.{end}']:.0f} times | "
        f"{figures[f'select.facility.seconds.{end}']:.2f} | {figures[f'select.cnn.seconds.{end}']:.2f}"
    )


def _told_case(end: str) -> str:
    """Of a key's end: how many classes, and of how many parts their embeddings are where there are several."""
    classes, _, parts = end.removeprefix("classes").partition("parts")
    return f"{classes}, embeddings of {parts} parts" if parts else classes


def speed_section(result: dict) -> str:
    """Seconds of a whole choice, beside the others."""
    figures = result["figures"]
    threads = f"one BLAS thread, and {figures['select.threads']:.0f} folds side by side where pictures are many"
    rows = [
        f"{told_machine(result)}; {threads}. Seconds by the clock (of the processor), on made-up classes.",
        "",
        "| classes | search | with the gate | sweep alone | Optuna over the sweep | facility location | condensed NN |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, seconds in figures.items():
        if name.startswith("select.seconds.classes"):
            end = name.rpartition(".")[2]
            search, cpu, search_cpu = (
                figures[f"select.{name}.{end}"] for name in ("search_seconds", "cpu_seconds", "search_cpu_seconds")
            )
            rows.append(
                f"| {_told_case(end)} | {search:.1f} ({search_cpu:.1f}) | {seconds:.1f} ({cpu:.1f}) | "
                f"{_beside(figures, end)} |"
            )
    grown = (
        f"Growth of the search in processor time, as an exponent: {figures['select.exponent.classes']:.2f} "
        f"with classes, {figures['select.exponent.images']:.2f} with pictures a class. "
        f"The process had {figures['select.peak_mb']:.0f} MB at most."
    )
    return "\n".join([*rows, "", grown])

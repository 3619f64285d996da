"""How fast is an ingest, from a folder to pictures that answer, against what this machine can do?

    scripts/bench_embed [--quick] [--data FOLDER] [--encoder E] [--seed N] [--json FILE] [--readme]

All of it in one process on the same pictures, in turn (A B A B), medians over the rounds:

- ingest: `start_ingest` until the job is done, with its queue, database, vector store and flushed bytes; each round is
  of another tenant, so that nothing is cached;
- pipeline: decoding in as many threads, ahead of the same forward pass, no queue and no store: the best there can be;
- forward: the same pass alone, on pictures that are ready;
- transformers: the plain loop that a tutorial shows: image processor, then the network in float32 with SDPA;
- onnxruntime: the pipeline with ONNX Runtime's float32 pass on the same weights;
- limit: as many pictures as the products of their forward pass would allow, did the processor nothing else: measured
  by the product of two large matrices, in the precision that the encoder runs in.

What an ingest costs however few pictures it has (`ingest.start_s`) is an ingest of one picture less the pipeline of
one. Passes of the encoder run in one thread, whoever asks for them, and the process keeps their memory; the baselines
with networks of their own run in threads other than the first, as those passes do.

Afterwards `holotype ingest` and `holotype classify` are run as they are, for the peak memory and the seconds of a
start.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from scripts.bench.commands import command
from scripts.bench.data_sets import GROCERY
from scripts.bench.embed_others import BATCH, onnx_pass, picture_operations, plain_loop, product, product_operations
from scripts.bench.machine import machine, versions
from scripts.bench.pictures import SUFFIXES, cache_folder, write_digits
from scripts.bench.tables import write_results
from service.adapters.encoders import Encoders
from service.adapters.images import PillowDecoder
from service.bootstrap import ENCODERS_FOLDER, open_context
from service.ports import Encoder, FormTrial
from service.settings import PACKAGED_ENCODER, Settings
from service.usecases.context import Context
from service.usecases.ingest import start_ingest
from service.usecases.jobs import wait_for_job
from workers.embedded import embedded_workers

ROOT = Path(__file__).resolve().parents[2]
BASELINES = ("pipeline", "forward", "limit", "transformers_fp32", "onnxruntime")


def copied(source: Path, folder: Path, count: int, seed: int) -> list[Path]:
    """`count` pictures of a folder of label/picture, drawn by the seed, linked into a folder of the same shape."""
    paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in SUFFIXES)
    drawn = sorted(random.Random(seed).sample(paths, min(count, len(paths))))
    made = []
    for path in drawn:
        target = folder / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
        made.append(target)
    return made


def prepared(encoder: Encoder, path: Path) -> np.ndarray:
    """A file as the network's input."""
    return encoder.preprocess(PillowDecoder().decode(path.read_bytes(), encoder.shortest_edge_px).pixels)


def pipelined(encoder: Encoder, run: Callable[[list[np.ndarray]], object], paths: Sequence[Path], threads: int) -> None:
    """Decoding in threads, two batches ahead at most, and the pass in this one."""
    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[Future[np.ndarray]] = deque()
        rest = iter(paths)
        batch: list[np.ndarray] = []
        for path in rest:
            ahead.append(pool.submit(prepared, encoder, path))
            if len(ahead) < 2 * BATCH:
                continue
            batch.append(ahead.popleft().result())
            if len(batch) == BATCH:
                run(batch)
                batch = []
        while ahead:
            batch.append(ahead.popleft().result())
            if len(batch) == BATCH or not ahead:
                run(batch)
                batch = []


@contextmanager
def working(settings: Settings) -> Iterator[Context]:
    """The wired ports with workers in this process, as `holotype ingest` has them."""
    with open_context(settings) as context, embedded_workers(context, settings):
        yield context


def rounds(
    context: Context,
    settings: Settings,
    folder: Path,
    paths: Sequence[Path],
    count: int,
    scratch: Path,
    console: Console,
) -> tuple[dict[str, float], Encoder]:
    """Seconds of everything, medians over the rounds, by name."""
    encoder = context.encoders.load(settings.encoder)
    weights = weights_folder(settings)
    inputs = [prepared(encoder, path) for path in paths]
    contenders: dict[str, Callable[[int], object]] = {
        "ingest": lambda number: ingest(context, settings, folder, f"bench{number}"),
        "pipeline": lambda _: pipelined(encoder, encoder.encode, paths, settings.decode_threads),
        "forward": lambda _: [encoder.encode(inputs[i : i + BATCH]) for i in range(0, len(inputs), BATCH)],
        "ingest_one": lambda number: ingest(context, settings, paths[0], f"one{number}", label="one"),
        "pipeline_one": lambda _: pipelined(encoder, encoder.encode, paths[:1], settings.decode_threads),
    }
    if weights is not None:
        plain = plain_loop(weights)
        contenders["transformers_fp32"] = lambda _: plain(paths)
        onnx = onnx_pass(weights, settings.encoder, encoder, scratch)
        contenders["onnxruntime"] = lambda _: pipelined(
            encoder, lambda batch: onnx(np.stack(batch)), paths, settings.decode_threads
        )
        contenders |= {f"product_{name}": product(name) for name in ("float32", "bfloat16")}
    encoder.encode(inputs[:BATCH])
    seconds = in_turn(contenders, count, console)
    if weights is not None:
        needed = len(paths) * picture_operations(weights, settings.encoder, inputs[0].shape)
        seconds["limit"] = seconds[f"product_{encoder.precision}"] * needed / product_operations()
    return seconds, encoder


def in_turn(contenders: Mapping[str, Callable[[int], object]], count: int, console: Console) -> dict[str, float]:
    """Seconds of each, medians over `count` rounds in which all have their turn."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    with ThreadPoolExecutor(1) as thread:
        for number in range(count):
            for name, run in contenders.items():
                began = time.perf_counter()
                thread.submit(run, number).result()
                seconds[name].append(time.perf_counter() - began)
                console.print(f"round {number + 1}: {name} {seconds[name][-1]:.2f} s")
    return {name: statistics.median(times) for name, times in seconds.items()}


def ingest(context: Context, settings: Settings, path: Path, tenant: str, label: str | None = None) -> None:
    """The folder, or the picture, as a tenant that has nothing yet."""
    job = start_ingest(context, tenant, "bench", path, label=label, encoder=settings.encoder)
    done = wait_for_job(context, job.id, lambda *_: None)
    if done.error:
        raise RuntimeError(f"the ingest failed: {done.error}")


def weights_folder(settings: Settings) -> Path | None:
    """The `transformers` folder of the encoder; None for one that has no weights."""
    if settings.encoder == "pixel":
        return None
    return Encoders(settings.data_dir / ENCODERS_FOLDER).folder_of(settings.encoder)


def as_figures(seconds: dict[str, float], images: int) -> dict[str, float]:
    """The names of `BENCHMARKS`: ingest per second, and how many times each baseline's speed that is."""
    figures = {"ingest.images": float(images), "ingest.images_per_s": images / seconds["ingest"]}
    for name in BASELINES:
        if name in seconds:
            figures[f"{name}.images_per_s"] = images / seconds[name]
            figures[f"ingest.ratio_to_{name}"] = seconds[name] / seconds["ingest"]
    if "ingest_one" in seconds:
        figures["ingest.start_s"] = seconds["ingest_one"] - seconds["pipeline_one"]
    if "limit" in seconds:
        figures["forward.ratio_to_limit"] = seconds["limit"] / seconds["forward"]
        for precision in ("float32", "bfloat16"):
            figures[f"limit.{precision}_gflops"] = product_operations() / seconds[f"product_{precision}"] / 1e9
    return figures


def trial_figures(trials: Sequence[FormTrial]) -> dict[str, float]:
    """The encoder's own table: images a second and agreement of each form that was tried."""
    figures = {}
    for one in trials:
        if one.images_per_s is not None and one.agreement is not None:
            name = one.form.replace(" ", "_")
            figures |= {f"form.{name}.images_per_s": one.images_per_s, f"form.{name}.agreement": one.agreement}
    return figures


def measured(given: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Everything, as the object that --json writes."""
    count, repeated = (given.images or (128 if given.quick else 256)), (2 if given.quick else 3)
    with tempfile.TemporaryDirectory(prefix="holotype-bench-") as name:
        scratch = Path(name)
        source = given.data or GROCERY
        if not source.is_dir():
            console.print(f"{source} is not there: digits are measured, which are small")
            write_digits(scratch / "digits", count)
            source = scratch / "digits"
        paths = copied(source, scratch / "pictures", count, given.seed)
        data = scratch / "data"
        (data / ENCODERS_FOLDER).parent.mkdir(parents=True)
        (cache_folder() / "encoders").mkdir(parents=True, exist_ok=True)
        (data / ENCODERS_FOLDER).symlink_to(cache_folder() / "encoders")  # weights and trials of earlier runs
        settings = Settings(data_dir=data, encoder=given.encoder)
        with working(settings) as context:
            seconds, encoder = rounds(context, settings, scratch / "pictures", paths, repeated, scratch, console)
            figures = as_figures(seconds, len(paths)) | trial_figures(encoder.trials)
            form = encoder.form
        console.print("holotype ingest and holotype classify, from cold")
        figures["ingest.command_s"], figures["ingest.peak_mb"] = command(
            settings, ["--tenant", "cold", "ingest", "bench", str(scratch / "pictures")]
        )
        starts = [command(settings, ["--tenant", "cold", "classify", "bench", str(path)]) for path in paths[:repeated]]
        figures["start.classify_s"] = statistics.median(took for took, _ in starts)
    return {
        "benchmark": "embed", "seed": given.seed, "quick": given.quick, "encoder": given.encoder, "form": form,
        "machine": machine(), "versions": versions(), "figures": figures,
    }  # fmt: skip


def print_table(console: Console, result: dict[str, Any]) -> None:
    """A row for each of what was measured."""
    figures = result["figures"]
    table = Table(title=f"Ingest of {figures['ingest.images']:.0f} pictures; {result['encoder']} in {result['form']}")
    for column in ("what", "images/s", "ingest is"):
        table.add_column(column, justify="left" if column == "what" else "right")
    table.add_row("ingest, folder to searchable", f"{figures['ingest.images_per_s']:.1f}", "")
    for name in BASELINES:
        if f"{name}.images_per_s" in figures:
            ratio = figures[f"ingest.ratio_to_{name}"]
            table.add_row(name.replace("_", " "), f"{figures[f'{name}.images_per_s']:.1f}", f"{ratio:.2f} of it")
    console.print(table)
    console.print(f"of that an ingest of any size takes {figures['ingest.start_s']:.2f} s")
    console.print(
        f"peak memory of `holotype ingest` {figures['ingest.peak_mb']:.0f} MB; "
        f"`holotype classify` of one picture from cold {figures['start.classify_s']:.1f} s"
    )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description="How fast is an ingest, against what this machine can do?")
    parser.add_argument("--quick", action="store_true", help="128 pictures, two rounds")
    parser.add_argument("--images", type=int, metavar="N", help="how many pictures; 128 with --quick, else 256")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="pictures of your own, one folder a class")
    parser.add_argument("--encoder", default=PACKAGED_ENCODER)
    parser.add_argument("--seed", type=int, default=0, help="which pictures are drawn")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--readme", action="store_true", help="write the table into README.md")
    given = parser.parse_args()
    result = measured(given, Console(stderr=True))
    print_table(Console(), result)
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")
    if given.readme:
        write_results(ROOT / "README.md", "embed", result)


if __name__ == "__main__":
    main()

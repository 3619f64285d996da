"""Writes benchmark results into the README, between `<!-- results:NAME -->` and `<!-- /results -->`."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.bench.speed_tables import search_section, speed_section

LABELS = {
    "all": "all references",
    "random": "random, same size",
    "lowest": "lowest centrality, same size",
    "highest": "highest centrality, same size",
    "kmedoids": "k-medoids, same size",
    "means": "class means",
    "holotype": "**Holotype**",
}


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _selection(result: dict) -> str:
    figures = result["figures"]
    settings = sorted({".".join(name.split(".")[:3]) for name in figures}, key=_order)
    machine = result["machine"]
    told = (
        f"{result['seeds']} seeds; {machine['cores']} cores of {machine['processor']}; "
        f"torch {result['versions']['torch']}, scikit-learn {result['versions']['scikit-learn']}. "
        "Accuracy in per cent on held-out pictures that chose nothing."
    )
    lines = [told]
    for setting in settings:
        lines += ["", *_table(setting, figures)]
    return "\n".join(lines)


def _order(setting: str) -> tuple[str, int, int]:
    data, shots, noise = setting.split(".")
    return data, int(shots[1:]), int(noise[5:])


def _table(setting: str, figures: dict[str, float]) -> list[str]:
    data, shots, noise = setting.split(".")
    passed = figures[f"{setting}.gate_passed"]
    asked = f"**{data}, {shots[1:]} pictures a class, {noise[5:]} % wrong labels**"
    title = f"{asked} (the gate passed in {100 * passed:.0f} % of the seeds)"
    rows = [
        title,
        "",
        "| reference set | head and pull | 95 % interval | macro F1 | head, no pull | raw | references |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for member, label in LABELS.items():
        head = f"{setting}.head.{member}"
        low, high = figures[f"{head}.accuracy_low"], figures[f"{head}.accuracy_high"]
        cells = (
            label,
            _percent(figures[f"{head}.accuracy"]),
            f"{_percent(low)} to {_percent(high)}",
            _percent(figures[f"{head}.macro_f1"]),
            _percent(figures[f"{setting}.head_no_pull.{member}.accuracy"]),
            _percent(figures[f"{setting}.raw.{member}.accuracy"]),
            f"{figures[f'{head}.references']:.0f}",
        )
        rows.append("| " + " | ".join(cells) + " |")
    rows.append(f"| what the gate lets serve | {_percent(figures[f'{setting}.served.accuracy'])} | | | | | |")
    nearest = _percent(figures[f"{setting}.head_no_pull.all_1nn.accuracy"])
    rows.append(f"| all references, 1-NN | | | | {nearest} | | {figures[f'{setting}.head.all.references']:.0f} |")
    return rows


EMBED_ROWS = {
    "pipeline": "decoding and forward pass overlapped, no queue, no store",
    "forward": "the forward pass alone",
    "limit": "the limit: the forward pass's products alone, at the speed of a large one",
    "transformers_fp32": "image processor and `transformers`, float32, SDPA, one loop",
    "onnxruntime": "the pipeline with ONNX Runtime, float32",
}


def _embed(result: dict) -> str:
    figures, machine = result["figures"], result["machine"]
    told = (
        f"{figures['ingest.images']:.0f} pictures, `{result['encoder']}` in {result['form']}; {machine['cores']} cores "
        f"of {machine['processor']}; torch {result['versions']['torch']}, transformers "
        f"{result['versions']['transformers']}."
    )
    lines = [told, "", "| | images/s | ingest is |", "|---|---:|---:|"]
    lines.append(f"| **ingest, folder to searchable** | {figures['ingest.images_per_s']:.1f} | |")
    for name, label in EMBED_ROWS.items():
        if f"{name}.images_per_s" in figures:
            ratio = figures[f"ingest.ratio_to_{name}"]
            lines.append(f"| {label} | {figures[f'{name}.images_per_s']:.1f} | {ratio:.2f} times that |")
    lines += ["", "| form of the network | images/s | lowest cosine to float32 |", "|---|---:|---:|"]
    for name in (name for name in figures if name.startswith("form.") and name.endswith(".images_per_s")):
        form = name.removeprefix("form.").removesuffix(".images_per_s")
        lines.append(f"| {form.replace('_', ' ')} | {figures[name]:.1f} | {figures[f'form.{form}.agreement']:.5f} |")
    lines.append("")
    if "limit.bfloat16_gflops" in figures:
        lines.append(
            f"A large product runs at {figures['limit.float32_gflops']:.0f} GFLOP/s in float32 and "
            f"{figures['limit.bfloat16_gflops']:.0f} in bfloat16; the forward pass alone reaches "
            f"{100 * figures['forward.ratio_to_limit']:.0f} % of it."
        )
    lines += [
        (
            f"However few its pictures, an ingest takes {figures['ingest.start_s']:.2f} s. "
            f"Peak memory of `holotype ingest`: {figures['ingest.peak_mb']:.0f} MB. "
            f"`holotype classify` of one picture, from cold: {figures['start.classify_s']:.1f} s."
        ),
    ]
    return "\n".join(lines)


WRITERS = {
    "selection": _selection,
    "embed": _embed,
    "selection_speed": speed_section,
    "search": search_section,
}


def write_results(readme: Path, name: str, result: dict) -> None:
    """Replace the named section. Raises ValueError when the README has no such markers."""
    write_section(readme, name, WRITERS[name](result))


def write_section(readme: Path, name: str, written: str) -> None:
    """The same with what is already written."""
    text = readme.read_text()
    pattern = re.compile(rf"(<!-- results:{name} -->\n).*?(<!-- /results -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{readme} has no section <!-- results:{name} --> ... <!-- /results -->")
    readme.write_text(pattern.sub(lambda found: found[1] + written + "\n" + found[2], text))

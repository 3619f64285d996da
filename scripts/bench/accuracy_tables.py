"""The accuracy benchmark's tables, for a terminal and for the README."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from scripts.bench.answering import HEAD, NO_PULL, RAW
from scripts.bench.members import LEARNT, MEMBERS, SAME_SIZE
from scripts.bench.story import SOURCE
from service.core.pipeline import HOLOTYPE

NAMES = {
    "all": "all references",
    "random": "random, same size",
    "lowest": "lowest centrality, same size",
    "highest": "highest centrality, same size",
    "kmedoids": "k-medoids, same size",
    "facility": "facility location, same size",
    "cnn": "condensed NN (imbalanced-learn)",
    "hart": "condensed NN (Hart)",
    "enn": "edited NN (imbalanced-learn)",
    "means": "class means",
    "knn7": "7-NN, distance-weighted",
    "logistic": "logistic regression",
    "svm": "linear SVM",
    HOLOTYPE: "Holotype",
}
ORDER = (*MEMBERS, HOLOTYPE)
COLUMNS = ("member", "head, pull", "95 %", "no pull", "raw", "macro F1", "top-5", "references", "Holotype ahead by")


def percent(value: float | None) -> str:
    """0..1 as per cent with one decimal; nothing for None."""
    return "" if value is None else f"{100 * value:.1f}"


def settings_in(figures: Mapping[str, float]) -> list[str]:
    """`{data}.{what}.noise{N}` of every setting with a panel, in the order measured."""
    return list(dict.fromkeys(".".join(n.split(".")[:3]) for n in figures if n.endswith(f"{HEAD}.{HOLOTYPE}.accuracy")))


def title(setting: str) -> str:
    """A setting in words."""
    data, what, noise = setting.split(".")
    asked = {
        "holdouts": "a fifth of each class held out, all else candidates",
        "val": "all of train candidates, judged on val",
        "story": "the 12 classes confused most, 6 of 30 pictures a class",
    }.get(what, f"{what[1:]} pictures a class")
    return f"{data}, {asked}" + (f", {noise[5:]} % wrong labels" if noise != "noise0" else "")


def rows(setting: str, figures: Mapping[str, float]) -> Iterator[tuple[str, ...]]:
    """One row a member."""
    for member in ORDER:
        head = f"{setting}.{HEAD}.{member}"
        raw = figures.get(f"{setting}.{RAW}.{member}.accuracy")
        if f"{head}.accuracy" not in figures:
            if raw is not None:
                yield (NAMES[member], "", "", "", percent(raw), "", "", "", "")
            continue
        yield (
            NAMES[member],
            percent(figures[f"{head}.accuracy"]),
            between(figures, f"{head}.accuracy"),
            "" if member in LEARNT else percent(figures.get(f"{setting}.{NO_PULL}.{member}.accuracy")),
            percent(raw),
            percent(figures[f"{head}.macro_f1"]),
            percent(figures[f"{head}.top5"]),
            "" if member in LEARNT else f"{figures[f'{head}.references']:.0f}",
            "" if member == HOLOTYPE else ahead(figures, head),
        )


def between(figures: Mapping[str, float], name: str) -> str:
    """An interval in per cent."""
    return f"{percent(figures[f'{name}_low'])} to {percent(figures[f'{name}_high'])}"


def ahead(figures: Mapping[str, float], prefix: str) -> str:
    """Points that Holotype is ahead of a member, with the paired interval."""
    low, high = 100 * figures[f"{prefix}.ahead_low"], 100 * figures[f"{prefix}.ahead_high"]
    return f"{100 * figures[f'{prefix}.ahead']:+.1f} ({low:+.1f} to {high:+.1f})"


def verdict(setting: str, figures: Mapping[str, float]) -> str:
    """Who is best behind the head with the pull, and what that says of Holotype."""
    accuracies = {
        member: figures[f"{setting}.{HEAD}.{member}.accuracy"]
        for member in ORDER
        if f"{setting}.{HEAD}.{member}.accuracy" in figures
    }
    best = max(accuracies, key=lambda member: (accuracies[member], member == HOLOTYPE))
    if best == HOLOTYPE:
        text = "Holotype is best here."
    else:
        text = f"Best here: {NAMES[best]}, {percent(accuracies[best])}; Holotype {percent(accuracies[HOLOTYPE])}."
    beaten = [member for member in SAME_SIZE if figures.get(f"{setting}.{HEAD}.{member}.ahead_low", -1.0) > 0.0]
    worse = [member for member in SAME_SIZE if figures.get(f"{setting}.{HEAD}.{member}.ahead_high", 1.0) < 0.0]
    text += f" Of its size it is above {_named(beaten) or 'none'} by the paired interval"
    return text + (f", and below {_named(worse)}." if worse else ".")


def _named(members: Sequence[str]) -> str:
    return ", ".join(NAMES[member].removesuffix(", same size") for member in members)


def trust_rows(figures: Mapping[str, float]) -> list[tuple[str, ...]]:
    """One row a data set: unknown, verification, calibration; empty cells where nothing could be measured."""
    found = []
    for data in dict.fromkeys(name.split(".")[0] for name in figures if name.endswith(".calibration.ece")):
        unknown = [
            f"{percent(figures[name])} ({between(figures, name)})" if name in figures else ""
            for name in (f"{data}.unknown.{m}.{f}" for f in ("auroc", "fpr95") for m in ("holotype", "raw"))
        ]
        verified = [
            percent(figures.get(f"{data}.{name}"))
            for name in ("verify.tpr", "verify.tnr", "verify.eer", "verify_strangers.eer")
        ]
        found.append((data, *unknown, *verified, percent(figures[f"{data}.calibration.ece"])))
    return found


def promise_rows(figures: Mapping[str, float]) -> list[tuple[str, ...]]:
    """One row a data set and stated error that could be promised in every case: what came of it."""
    names = [name.removesuffix(".realised_error") for name in figures if name.endswith(".realised_error")]
    return [
        (
            name.split(".")[0],
            percent(figures[f"{name}.stated_error"]),
            f"{percent(figures[f'{name}.realised_error'])} ({between(figures, f'{name}.realised_error')})",
            percent(figures[f"{name}.coverage"]),
            f"{figures[f'{name}.accepted']:.0f}",
        )
        for name in names
        if name.split(".")[-1].startswith("stated")
    ]


TRUST_COLUMNS = (
    "data", "AUROC, trust", "AUROC, raw similarity", "FPR95, trust", "FPR95, raw similarity", "TPR at Otsu",
    "TNR at Otsu", "EER", "EER, classes left out", "ECE",
)  # fmt: skip
PROMISE_COLUMNS = ("data", "stated error", "realised, 95 %", "answered", "answers accepted")


def story_rows(setting: str, figures: Mapping[str, float]) -> list[tuple[str, ...]]:
    """All references raw and the chosen ones with everything on, beside what the source reports."""
    everything, selected = f"{setting}.{RAW}.all", f"{setting}.{HEAD}.{HOLOTYPE}"
    return [
        (
            text,
            f"{percent(figures[f'{prefix}.accuracy'])} ({between(figures, f'{prefix}.accuracy')})",
            percent(figures[f"{prefix}.weighted_f1"]),
            f"{figures[f'{prefix}.references']:.0f}",
            "{} %, F1 {} %".format(*SOURCE[key]),
        )
        for text, prefix, key in (
            ("all references, raw embedding", everything, "all references"),
            ("chosen references, everything on", selected, "chosen"),
        )
    ]


STORY_COLUMNS = ("", "accuracy", "weighted F1", "references", "the source, on its pictures")


def print_tables(console: Console, result: Mapping[str, object]) -> None:
    """Everything, for people."""
    figures: Mapping[str, float] = result["figures"]
    for setting in settings_in(figures):
        _print(console, title(setting), COLUMNS, rows(setting, figures))
        console.print(verdict(setting, figures))
        if setting.split(".")[1] == "story":
            _print(console, "the story", STORY_COLUMNS, story_rows(setting, figures))
    if trusted := trust_rows(figures):
        _print(console, "trust, in per cent", TRUST_COLUMNS, trusted)
    if promised := promise_rows(figures):
        _print(console, "stated errors, in per cent", PROMISE_COLUMNS, promised)


def _print(console: Console, name: str, columns: Sequence[str], cells: Iterator[tuple[str, ...]] | list) -> None:
    table = Table(title=name)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in cells:
        table.add_row(*row)
    console.print(table)


def accuracy_section(result: Mapping[str, object], plots: Sequence[tuple[str, str]]) -> str:
    """What stands in the README: plots (path, what they show), one table a data set, the story, trust."""
    figures: Mapping[str, float] = result["figures"]
    machine, software = result["machine"], result["versions"]
    extent = "`--quick`: a part of the data, " if result["quick"] else ""
    lines = [
        (
            f"{extent}{result['seeds']} seeds, {result['trials']} trials a search, {result['minutes']} minutes on "
            f"{machine['cores']} cores of {machine['processor']}; torch {software['torch']}, "
            f"scikit-learn {software['scikit-learn']}. Per cent, on pictures that chose nothing."
        ),
    ]
    lines += [line for path, text in plots for line in ("", f"![{text}]({path})")]
    for setting in _shown(settings_in(figures)):
        if setting.split(".")[1] == "story":
            lines += ["", f"**{title(setting)}**", "", *_markdown(STORY_COLUMNS, story_rows(setting, figures))]
        lines += ["", f"**{title(setting)}**", "", *_markdown(COLUMNS, rows(setting, figures))]
        lines += ["", verdict(setting, figures)]
    if trusted := trust_rows(figures):
        lines += ["", "**Trust**: unknown classes, same or not, confidence", "", *_markdown(TRUST_COLUMNS, trusted)]
    if promised := promise_rows(figures):
        lines += ["", "**Stated errors**, a fifth of the pictures of unknown classes; intervals are over classes", ""]
        lines += _markdown(PROMISE_COLUMNS, promised)
    return "\n".join(lines)


def _shown(settings: Sequence[str]) -> list[str]:
    """All that is not by shots, and of those the number nearest to ten: the others are in the plot and in the JSON."""
    by_data: dict[str, list[int]] = defaultdict(list)
    for setting in settings:
        data, what, _ = setting.split(".")
        if what[1:].isdigit():
            by_data[data].append(int(what[1:]))
    nearest = {data: min(shots, key=lambda one: abs(one - 10)) for data, shots in by_data.items()}
    return [
        setting
        for setting in settings
        if not setting.split(".")[1][1:].isdigit() or int(setting.split(".")[1][1:]) == nearest[setting.split(".")[0]]
    ]


def _markdown(columns: Sequence[str], cells: Iterator[tuple[str, ...]] | list) -> list[str]:
    return [
        "| " + " | ".join(columns) + " |",
        "|---|" + "---:|" * (len(columns) - 1),
        *("| " + " | ".join(row) + " |" for row in cells),
    ]

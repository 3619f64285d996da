"""The accuracy benchmark's tables, for a terminal and for the README."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from scripts.bench.accuracy_cells import ahead, between, percent
from scripts.bench.accuracy_parts import (
    HEAD_COLUMNS,
    PROMISE_COLUMNS,
    STORY_COLUMNS,
    TRUST_COLUMNS,
    head_rows,
    head_settings,
    promise_rows,
    story_rows,
    trust_rows,
)
from scripts.bench.answering import HEAD, NO_PULL, RAW
from scripts.bench.members import LEARNT, MEMBERS, SAME_SIZE
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


def settings_in(figures: Mapping[str, float]) -> list[str]:
    """`{data}.{what}.noise{N}` of every setting with a panel, in the order measured."""
    return list(dict.fromkeys(".".join(n.split(".")[:3]) for n in figures if n.endswith(f"{HEAD}.{HOLOTYPE}.accuracy")))


def title(setting: str) -> str:
    """A setting in words."""
    data, what, noise = setting.split(".")
    asked = {
        "holdouts": "a fifth of each class held out, all else candidates",
        "val": "all of train candidates, judged on val",
        "heads": "heads, about ten pictures a class, all that are not doubted as references, pulled",
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


SHOTS_COLUMNS = (
    "data", "a class", "wrong", "Holotype", "references", "all", "best of its size", "class means",
    "logistic regression", "all, raw",
)  # fmt: skip


def shots_rows(figures: Mapping[str, float]) -> list[tuple[str, ...]]:
    """One row for each number of pictures a class that was measured, clean and mislabelled."""
    found = []
    for setting in settings_in(figures):
        data, what, noise = setting.split(".")
        if what[1:].isdigit():
            best = max(SAME_SIZE, key=lambda member: figures[f"{setting}.{HEAD}.{member}.accuracy"])
            members = [
                percent(figures.get(f"{setting}.{space}.{member}.accuracy"))
                for space, member in ((HEAD, "all"), (HEAD, best), (HEAD, "means"), (HEAD, "logistic"), (RAW, "all"))
            ]
            members[1] += f", {NAMES[best].removesuffix(', same size')}"
            own = f"{setting}.{HEAD}.{HOLOTYPE}"
            chosen = f"{percent(figures[f'{own}.accuracy'])} ({between(figures, f'{own}.accuracy')})"
            kept = f"{figures[f'{own}.references']:.0f} of {figures[f'{own}.support']:.0f}"
            found.append(((data, int(what[1:]), int(noise[5:])), (chosen, kept, *members)))
    return [(data, f"{shots}", f"{noise} %", *cells) for (data, shots, noise), cells in sorted(found)]


def print_tables(console: Console, result: Mapping[str, object]) -> None:
    """Everything, for people."""
    figures: Mapping[str, float] = result["figures"]
    for setting in settings_in(figures):
        _print(console, title(setting), COLUMNS, rows(setting, figures))
        console.print(verdict(setting, figures))
        if setting.split(".")[1] == "story":
            _print(console, "the story", STORY_COLUMNS, story_rows(setting, figures))
    if shots := shots_rows(figures):
        _print(console, "by pictures a class, in per cent", SHOTS_COLUMNS, shots)
    for setting in head_settings(figures):
        _print(console, title(setting), HEAD_COLUMNS, head_rows(setting, figures))
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
    if shots := shots_rows(figures):
        lines += ["", "**By pictures a class**, behind one head, pulled, where nothing else is said", ""]
        lines += _markdown(SHOTS_COLUMNS, shots)
    for setting in head_settings(figures):
        lines += ["", f"**{title(setting)}**", "", *_markdown(HEAD_COLUMNS, head_rows(setting, figures))]
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

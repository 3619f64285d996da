"""The findings about a catalogue: the core's numbers turned into what a person decides on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np

from service.core import hygiene
from service.core.duplicates import near_duplicate_groups, near_duplicate_pairs
from service.core.model import Float64Array, LabelledEmbeddings
from service.records import Example, Split
from service.usecases.findings import Decision, Finding, FindingKind

SEED = 0
"""Of the folds: the same catalogue is always told the same."""
MOST_OTHERS = 5
SIDES = (Split.SUPPORT, Split.TUNING, Split.HOLDOUT, Split.UNASSIGNED)

Pair = tuple[int, int, float]


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """A catalogue's usable examples, their embeddings row by row, and what the out-of-fold judge says of each."""

    examples: Sequence[Example]
    data: LabelledEmbeddings
    probabilities: Float64Array

    @staticmethod
    def of(examples: Sequence[Example], data: LabelledEmbeddings) -> Survey:
        """Judge every row by a judge that never saw it."""
        return Survey(examples, data, hygiene.judged_probabilities(data, SEED))

    def findings(self) -> list[Finding]:
        """All that rows and embeddings tell, by kind, the strongest first; blank pictures take a look at pixels."""
        suspects, strays = hygiene.label_suspects(self.data, self.probabilities), self._strays()
        return [
            *self._labels(suspects, {one.row for one in strays}),
            *self._pairs(),
            *self._duplicates(),
            *self._outliers(strays, {one.row for one in suspects if one.sure}),
            *self._small(),
            *self._thin(),
            *self._alike(),
        ]

    def _answer(self, row: int) -> int:
        """Code of the class that the judge puts first."""
        return int(self.probabilities[row].argmax())

    def _label(self, code: int) -> str:
        return self.data.classes[code]

    def _strays(self) -> list[hygiene.Outlier]:
        """Far from their class, and not recognised as one of it by a judge that knows more than one class.

        Of 2 640 photos of groceries 141 lie far and 49 are listed; of 111 strays planted there, 74 and 73.
        """
        several = len(np.unique(self.data.codes)) > 1
        return [
            one
            for one in hygiene.outliers(self.data)
            if not (several and self._answer(one.row) == self.data.codes[one.row])
        ]

    def _labels(self, suspects: Sequence[hygiene.LabelSuspect], far: AbstractSet[int]) -> Iterator[Finding]:
        """A picture gets one suggestion, whatever it is listed for: that of a stray where its label is not sure."""
        for one in suspects:
            given, likely = self.examples[one.row].label, self._label(one.likely)
            told = f"pictures like it carry {likely} ({one.likely_probability:.2f}), not {given}"
            doubt = "" if one.sure else "; less surely than is usual there"
            if one.row in far:
                doubt += f"; it lies far from {given}"
            yield Finding(
                kind=FindingKind.LABEL,
                labels=(given, likely),
                example=self.examples[one.row],
                numbers={"given": one.given_probability, "likely": one.likely_probability},
                suggested=Decision.RELABEL if one.sure else Decision.DROP if one.row in far else Decision.KEEP,
                why=f"{told} ({one.given_probability:.2f}){doubt}",
            )

    def _pairs(self) -> Iterator[Finding]:
        """Near-duplicates that carry different labels, then those that lie in different splits."""
        side = np.array([SIDES.index(one.split) for one in self.examples], dtype=np.int64)
        hashes = [one.perceptual_hash for one in self.examples]
        pairs = near_duplicate_pairs(hashes, self.data.embeddings, self.data.codes * len(SIDES) + side)
        yield from self._cross_label([pair for pair in pairs if self.data.codes[pair[0]] != self.data.codes[pair[1]]])
        yield from self._leaks([pair for pair in pairs if side[pair[0]] != side[pair[1]]])

    def _cross_label(self, pairs: Sequence[Pair]) -> Iterator[Finding]:
        given = self.probabilities[np.arange(len(self.data)), self.data.codes]
        for first, second, cosine in sorted(pairs, key=lambda pair: -pair[2]):
            doubted, other = sorted((first, second), key=lambda row: (given[row], self.examples[row].id))
            one, evidence = self.examples[doubted], self.examples[other]
            disputed = given[doubted] > 0 and self._answer(doubted) != self.data.codes[doubted]
            yield Finding(
                kind=FindingKind.CROSS_LABEL,
                labels=(one.label, evidence.label),
                example=one,
                others=(evidence,),
                numbers={"similarity": cosine, "given": float(given[doubted])},
                suggested=Decision.RELABEL if disputed else Decision.KEEP,
                why=f"nearly the same picture is labelled {evidence.label} (similarity {cosine:.3f})",
            )

    def _leaks(self, pairs: Sequence[Pair]) -> Iterator[Finding]:
        """One a picture on the judging side: dropping it leaves the references whole and the figures honest."""
        across: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)
        for first, second, cosine in pairs:
            known, judging = sorted((first, second), key=lambda row: SIDES.index(self.examples[row].split))
            across[judging].append((cosine, known))
        for judging, known_ones in sorted(across.items(), key=lambda item: (-max(item[1])[0], item[0])):
            nearest = sorted(known_ones, key=lambda one: (-one[0], one[1]))
            one, others = self.examples[judging], tuple(self.examples[row] for _, row in nearest[:MOST_OTHERS])
            yield Finding(
                kind=FindingKind.LEAK,
                labels=tuple(dict.fromkeys((one.label, *(other.label for other in others)))),
                example=one,
                others=others,
                numbers={"similarity": nearest[0][0], "pictures": len(nearest)},
                suggested=Decision.DROP,
                why=f"it is {one.split.value}, and nearly the same picture is {others[0].split.value}",
            )

    def _duplicates(self) -> Iterator[Finding]:
        """Each picture of a group but its largest."""
        groups: defaultdict[int, list[int]] = defaultdict(list)
        for row, group in enumerate(self.data.groups.tolist()):
            groups[group].append(row)
        for members in (looks for rows in groups.values() for looks in self._lookalikes(rows)):
            largest, *rest = sorted(members, key=lambda one: (-one.width_px * one.height_px, one.id))
            for one in rest:
                yield Finding(
                    kind=FindingKind.DUPLICATE,
                    labels=(one.label,),
                    example=one,
                    others=(largest,),
                    numbers={"pictures": len(members)},
                    suggested=Decision.DROP,
                    why=f"one of {len(members)} near-duplicates, the largest of which stays",
                )

    def _lookalikes(self, rows: Sequence[int]) -> Iterator[list[Example]]:
        """A group's near-duplicates: crops of one picture are in one group as well, whatever they show."""
        examples = [self.examples[row] for row in rows]
        if len(rows) == 1 or not any(one.crop for one in examples):
            yield examples
            return
        found = near_duplicate_groups(
            [one.perceptual_hash for one in examples],
            self.data.embeddings[list(rows)],
            np.zeros(len(rows), dtype=np.int64),
            keys=[one.picture for one in examples],
        )
        for group in range(int(found.max()) + 1):
            yield [one for one, looks in zip(examples, found.tolist(), strict=True) if looks == group]

    def _outliers(self, strays: Sequence[hygiene.Outlier], sure: AbstractSet[int]) -> Iterator[Finding]:
        """`sure` are rows whose likely label is."""
        for one in strays:
            example = self.examples[one.row]
            yield Finding(
                kind=FindingKind.OUTLIER,
                labels=(example.label,),
                example=example,
                numbers={"distance": one.distance, "median": one.median, "z": one.z},
                suggested=Decision.RELABEL if one.row in sure else Decision.DROP,
                why=f"{one.z:.1f} robust deviations farther from {example.label} than its pictures usually are",
            )

    def _small(self) -> Iterator[Finding]:
        edges = [(min(one.width_px, one.height_px), one) for one in self.examples]
        for edge, one in sorted(edges, key=lambda pair: (pair[0], pair[1].id)):
            if edge < hygiene.SMALL_EDGE_PX:
                yield Finding(
                    kind=FindingKind.SMALL,
                    labels=(one.label,),
                    example=one,
                    numbers={"width_px": one.width_px, "height_px": one.height_px},
                    suggested=Decision.DROP,
                    why=f"{one.width_px} x {one.height_px} pixels; {hygiene.SMALL_EDGE_PX} are the least to see by",
                )

    def _thin(self) -> Iterator[Finding]:
        for code, pictures in hygiene.thin_classes(self.data):
            rows = np.flatnonzero(self.data.codes == code).tolist()
            there = f"{pictures} distinct picture{'s' if pictures > 1 else ''}"
            yield Finding(
                kind=FindingKind.THIN,
                labels=(self._label(code),),
                others=tuple(self.examples[row] for row in rows[:MOST_OTHERS]),
                numbers={"distinct": pictures, "images": len(rows)},
                suggested=Decision.KEEP,
                why=f"{there}; with {hygiene.THIN_PICTURES} it could be judged: ingest more",
            )

    def _alike(self) -> Iterator[Finding]:
        for pair in hygiene.alike_classes(self.data, self.probabilities):
            first, second = self._label(pair.first), self._label(pair.second)
            yield Finding(
                kind=FindingKind.ALIKE,
                labels=(first, second),
                others=tuple(self.examples[row] for row in pair.rows[:MOST_OTHERS]),
                numbers={"mixed_up": len(pair.rows), "share": pair.share},
                suggested=Decision.KEEP,
                why=f"{len(pair.rows)} pictures of {first} and {second} look alike: ingest more, or make one class",
            )

"""The findings about a catalogue: the core's numbers turned into what a person decides on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from service.core import hygiene
from service.core.doubts import LabelSuspect, judged_probabilities, label_suspects, usual_probabilities
from service.core.duplicates import near_duplicate_groups, near_duplicate_pairs, twins
from service.core.model import Float64Array, LabelledEmbeddings
from service.records import Example, Split
from service.usecases.findings import Advice, Finding, FindingKind

SEED = 0
"""Of the folds: the same catalogue is always told the same."""
MOST_OTHERS = 5
SURE_OF_TWO = 0.8
"""Of two labels of nearly one picture one is right, or neither: the better one's share from which on it is told. On
groceries (8 classes of 10, a fifth of the labels wrong) that was 74 of 80 such pairs, all told rightly."""
CAST_OUT = 0.005
"""A label that is less probable than this, of a picture far from its class, is told to be dropped: neither judge nor
neighbours know it. In 12 classes of 12 groceries with right labels (40 draws, 5 760 pictures) 4 are
told so, where all that lie far were 45; of 20 % wrong ones 65 of 1 160 still are (95), beside 874 to be relabelled."""
SIDES = (Split.SUPPORT, Split.TUNING, Split.HOLDOUT, Split.UNASSIGNED)

Pair = tuple[int, int, float]


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """A catalogue's usable examples, their embeddings row by row, and what the out-of-fold judge says of each.

    Rows are in the order of the pictures' content, on which folds and ties hang: the same pictures in another
    catalogue, under other ids, are told the same. `pairs` are near-duplicates of different labels or splits.
    """

    examples: Sequence[Example]
    data: LabelledEmbeddings
    pairs: Sequence[Pair]
    probabilities: Float64Array

    @staticmethod
    def of(examples: Sequence[Example], data: LabelledEmbeddings) -> Survey:
        """Judge every row by a judge that never saw it, nor anything nearly the same."""
        order = sorted(range(len(examples)), key=lambda row: examples[row].picture)
        ordered, data = [examples[row] for row in order], data.take(np.array(order, dtype=np.int64))
        side = np.array([SIDES.index(one.split) for one in ordered], dtype=np.int64)
        hashes = [one.perceptual_hash for one in ordered]
        pairs = near_duplicate_pairs(hashes, data.embeddings, data.codes * len(SIDES) + side)
        across = [pair for pair in pairs if data.codes[pair[0]] != data.codes[pair[1]]]
        return Survey(ordered, data, pairs, judged_probabilities(data, twins(data.groups, across), SEED))

    def findings(self) -> list[Finding]:
        """All that rows and embeddings tell, by kind, the strongest first; blank pictures take a look at pixels."""
        suspects, strays = label_suspects(self.data, self.probabilities), self._strays()
        disputed = {one.row for one in suspects}
        return [
            *self._labels(suspects, {one.row: one for one in strays}),
            *self._cross_label(),
            *self._leaks(),
            *self._duplicates(),
            *self._outliers([one for one in strays if one.row not in disputed]),
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
        several = np.count_nonzero(self.probabilities.any(axis=0)) > 1
        return [
            one
            for one in hygiene.outliers(self.data)
            if not (several and self._answer(one.row) == self.data.codes[one.row])
        ]

    def _labels(self, suspects: Sequence[LabelSuspect], far: Mapping[int, hygiene.Outlier]) -> Iterator[Finding]:
        """Disputed labels; that a picture lies far from its class, too, is part of its finding."""
        for one in suspects:
            given, likely = self.examples[one.row].label, self._label(one.likely)
            told = f"pictures like it carry {likely} ({one.likely_probability:.2f}), not {given}"
            doubt = "" if one.sure else "; less surely than is usual there"
            numbers = {"given": one.given_probability, "likely": one.likely_probability}
            stray = far.get(one.row)
            if stray is not None:
                doubt += f"; it lies far from {given}"
                numbers |= {"distance": stray.distance, "median": stray.median, "z": stray.z}
            cast_out = stray is not None and one.given_probability < CAST_OUT
            yield Finding(
                kind=FindingKind.LABEL,
                labels=(given, likely),
                example=self.examples[one.row],
                numbers=numbers,
                suggested=Advice.RELABEL if one.sure else Advice.DROP if cast_out else Advice.LOOK,
                why=f"{told} ({one.given_probability:.2f}){doubt}",
            )

    def _cross_label(self) -> Iterator[Finding]:
        """One for each picture whose near-duplicates carry another label, which they are likelier to be right in.

        What is nearly the same is judged as one, so that no two pictures are told to become what the other one is.
        """
        pairs = [pair for pair in self.pairs if self.data.codes[pair[0]] != self.data.codes[pair[1]]]
        joined = twins(np.arange(len(self.data)), pairs)
        among: defaultdict[int, list[int]] = defaultdict(list)
        for row in sorted({row for pair in pairs for row in pair[:2]}):
            among[int(joined[row])].append(row)
        usual, sizes = usual_probabilities(self.data, self.probabilities), np.bincount(self.data.codes)
        found = []
        for rows in among.values():
            means = self.probabilities[rows].mean(axis=0)
            codes, likely = self.data.codes[rows], int(means.argmax())
            better = max(sorted(set(codes.tolist())), key=lambda code: (means[code], sizes[code]))
            evidence = [row for row in rows if self.data.codes[row] == better]
            for row in (row for row in rows if self.data.codes[row] != better):
                given = float(means[self.data.codes[row]])
                sure = likely != better and means[likely] >= usual[likely]
                sure |= likely == better and means[better] >= SURE_OF_TWO * (given + means[better])
                found.append(self._crossed(row, evidence, likely if sure and given > 0 else None, given))
        yield from sorted(found, key=lambda one: -one.numbers["similarity"])

    def _crossed(self, row: int, evidence: Sequence[int], likely: int | None, given: float) -> Finding:
        """`likely` is the class that they are surely of, `given` the probability of the row's own."""
        cosines = self.data.embeddings[list(evidence)].astype(np.float64) @ self.data.embeddings[row].astype(np.float64)
        nearest = np.argsort(-cosines, kind="stable")
        one, others = self.examples[row], [self.examples[evidence[place]] for place in nearest[:MOST_OTHERS].tolist()]
        cosine = float(cosines[nearest[0]])
        why = f"nearly the same picture is labelled {others[0].label} (similarity {cosine:.3f})"
        return Finding(
            kind=FindingKind.CROSS_LABEL,
            labels=(one.label, others[0].label if likely is None else self._label(likely)),
            example=one,
            others=tuple(others),
            numbers={"similarity": cosine, "given": given},
            suggested=Advice.LOOK if likely is None else Advice.RELABEL,
            why=f"{why}; which label is right is not sure"
            if likely is None
            else f"{why}; pictures like both carry {self._label(likely)}",
        )

    def _leaks(self) -> Iterator[Finding]:
        """One a picture on the judging side: dropping it leaves the references whole and the figures honest."""
        across: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)
        for first, second, cosine in self.pairs:
            if self.examples[first].split is self.examples[second].split:
                continue
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
                suggested=Advice.DROP,
                why=f"it is {one.split.value}, and nearly the same picture is {others[0].split.value}",
            )

    def _duplicates(self) -> Iterator[Finding]:
        """Each picture of a group but its largest. In different splits they are leaks: the largest may be to go."""
        groups: defaultdict[tuple[int, Split], list[int]] = defaultdict(list)
        for row, group in enumerate(self.data.groups.tolist()):
            groups[group, self.examples[row].split].append(row)
        for members in (looks for rows in groups.values() for looks in self._lookalikes(rows)):
            largest, *rest = sorted(members, key=lambda one: (-one.width_px * one.height_px, one.picture))
            for one in rest:
                yield Finding(
                    kind=FindingKind.DUPLICATE,
                    labels=(one.label,),
                    example=one,
                    others=(largest,),
                    numbers={"pictures": len(members)},
                    suggested=Advice.DROP,
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

    def _outliers(self, strays: Sequence[hygiene.Outlier]) -> Iterator[Finding]:
        """Those whose label nobody disputes, as where there is one class alone: good pictures lie far, too."""
        for one in strays:
            example = self.examples[one.row]
            yield Finding(
                kind=FindingKind.OUTLIER,
                labels=(example.label,),
                example=example,
                numbers={"distance": one.distance, "median": one.median, "z": one.z},
                suggested=Advice.LOOK,
                why=f"{one.z:.1f} robust deviations farther from {example.label} than its pictures usually are",
            )

    def _small(self) -> Iterator[Finding]:
        """In a catalogue of icons, where most are, being small is no fault."""
        edges = [(min(one.width_px, one.height_px), one) for one in self.examples]
        small = [(edge, one) for edge, one in edges if edge < hygiene.SMALL_EDGE_PX]
        if 2 * len(small) <= len(edges):
            for _, one in sorted(small, key=lambda pair: (pair[0], pair[1].picture)):
                yield Finding(
                    kind=FindingKind.SMALL,
                    labels=(one.label,),
                    example=one,
                    numbers={"width_px": one.width_px, "height_px": one.height_px},
                    suggested=Advice.DROP,
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
                suggested=Advice.KEEP,
                why=f"{there}; with {hygiene.THIN_PICTURES} it could be judged: ingest more. Until then none of its "
                "labels is doubted, nor any for it",
            )

    def _alike(self) -> Iterator[Finding]:
        for pair in hygiene.alike_classes(self.data, self.probabilities):
            first, second = self._label(pair.first), self._label(pair.second)
            yield Finding(
                kind=FindingKind.ALIKE,
                labels=(first, second),
                others=tuple(self.examples[row] for row in pair.rows[:MOST_OTHERS]),
                numbers={"mixed_up": len(pair.rows), "share": pair.share},
                suggested=Advice.KEEP,
                why=f"{len(pair.rows)} pictures of {first} and {second} look alike: ingest more, or make one class",
            )

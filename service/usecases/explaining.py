"""Why a selection serves, in sentences with the numbers."""

from __future__ import annotations

import numpy as np

from service.core.model import LabelledEmbeddings
from service.core.pipeline import HOLOTYPE
from service.usecases.holdings import Holdings
from service.usecases.judging import Judgement
from service.usecases.optimise_request import OptimiseRequest
from service.usecases.unmeasured import one_class

NAMED_CLASSES = 5


def unjudged_classes(judgement: Judgement, known: LabelledEmbeddings) -> set[str]:
    """Labels of which no picture was among those that judged."""
    judged = set() if judgement.comparison is None else set(np.unique(judgement.comparison.truth).tolist())
    return {label for code, label in enumerate(known.classes) if code not in judged} if judged else set()


def explain(
    judgement: Judgement,
    holdings: Holdings,
    request: OptimiseRequest,
    references: int,
    serving: int,
    margin: float,
    unjudged: set[str],
    *,
    searched: bool,
) -> str:
    """The `why` of a selection: what serves, what it was measured by, and what that does not cover.

    Args:
        judgement: of the candidate.
        holdings: what it was made from.
        request: what was asked for.
        references: of the candidate that was judged.
        serving: references that serve.
        margin: accuracy that it may lose.
        unjudged: labels that no judging picture has.
        searched: False where one picture a class, or one class, left nothing to choose.
    """
    if judgement.measured_on == "nothing":
        sentences = [_nothing(holdings, request)]
    else:
        sentences = [_decision(judgement, holdings, request, serving, margin, searched=searched)]
        if searched:
            sentences.append(_test(judgement, len(holdings.support), references))
        if request.refit:
            sentences.append("The figures are of the test: after it all labelled pictures were candidates")
    if unjudged:
        instead = "their figures are cross-fitted" if searched else "nothing was measured about them"
        sentences.append(f"{_named(unjudged)} had no picture to judge with: {instead}")
    absent = {
        label
        for code, label in enumerate(holdings.support.classes)
        if code not in holdings.support.codes and not request.refit
    }
    if absent:
        sentences.append(f"{_named(absent)} have no support picture: pictures of other splits serve, provisionally")
    if holdings.straddling:
        count = holdings.straddling
        sentences.append(f"{count} holdout pictures have near-duplicates in other splits and judged nothing")
    return f"{'. '.join(sentences)}."


def _nothing(holdings: Holdings, request: OptimiseRequest) -> str:
    if not one_class(holdings.support):
        return "Every picture answers now (one-shot): with one a class nothing can be chosen, and nothing measured"
    answers = (
        "Every picture answers now" if request.budget is None else f"A budget of {request.budget} serves, as was asked"
    )
    return f"{answers}: with one class nothing can be told apart, so nothing was chosen and nothing measured"


def _decision(
    judgement: Judgement, holdings: Holdings, request: OptimiseRequest, serving: int, margin: float, *, searched: bool
) -> str:
    pictures = len(holdings.support)
    if request.refit:
        pictures += len(holdings.tuning) + len(holdings.holdout)
    answer = f"{serving} of {pictures} pictures {'answers' if serving == 1 else 'answer'} now"
    if not searched:
        return f"{answer} (one-shot): with one a class there is nothing to choose"
    if request.strategy == "all" and request.budget is None:
        return f"{answer}: all were asked for"
    if judgement.verdict.passes:
        return answer
    if request.budget is not None:
        return f"{answer}: a budget of {request.budget} a class was asked for"
    return f"{answer}: fewer could lose more than {_points(margin)}"


def _test(judgement: Judgement, support: int, references: int) -> str:
    verdict, comparison = judgement.verdict, judgement.comparison
    low, high = (100 * bound for bound in verdict.interval)
    tested, by = f"{references} of {support}", f"on {verdict.images} pictures of the holdout"
    if judgement.measured_on == "cross-fitting" and comparison is not None:
        tested = f"about {comparison.references[HOLOTYPE]:.0f} of {comparison.support:.0f}"
        by = f"on {verdict.images} pictures, each answered by a choice made without it"
    did = "about as well as"
    if low > 0 or high < 0:
        did = "better than" if low > 0 else "worse than"
    sure = "" if verdict.conclusive else ", not sure either way"
    return (
        f"In the test {tested} did {did} all of them: {100 * verdict.difference:+.1f} points "
        f"(95 % interval {low:+.1f} to {high:+.1f}{sure}) {by}"
    )


def _points(share: float) -> str:
    number = f"{100 * share:g}"
    return f"{number} point" if number == "1" else f"{number} points"


def _named(labels: set[str]) -> str:
    shown = sorted(labels)[:NAMED_CLASSES]
    more = len(labels) - len(shown)
    return ", ".join(repr(label) for label in shown) + (f" and {more} more classes" if more > 0 else "")

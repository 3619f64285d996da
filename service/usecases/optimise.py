"""Optimise a catalogue: choose a recipe, judge it, publish the references.

What chooses is never what judges: cross-fitting over support and tuning picks one candidate, the holdout (or, where it
is too small to tell, a nested cross-fitting) compares it once with all references behind the same head.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import numpy as np

from service.core.centrality import eigenvector_centrality
from service.core.crossfit import CrossFitter
from service.core.fitting import Fitted, everything
from service.core.model import LabelledEmbeddings
from service.core.pipeline import HOLOTYPE, build, joined
from service.core.recipe import Recipe
from service.errors import Busy, SelectionNotFound
from service.ports import RunOptimise
from service.records import (
    Catalogue,
    Job,
    JobKind,
    JobState,
    Selection,
    SelectionMember,
    SelectionState,
    Trial,
)
from service.usecases.context import Context, partition_of
from service.usecases.describing import measured_blend
from service.usecases.explaining import explain, unjudged_classes
from service.usecases.figures import cross_fitted_classes, figures_of, report_of
from service.usecases.holdings import Holdings, load_holdings
from service.usecases.judging import Judgement, judge_candidate
from service.usecases.leases import kept_lease
from service.usecases.optimise_request import OptimiseRequest
from service.usecases.publish import Draft, publish
from service.usecases.recipe_search import calibrated, check_searchable, search_recipe, search_thresholds, study_key
from service.usecases.relabelled import AS_OF
from service.usecases.selections import selection_summary
from service.usecases.trusting import measure_trust
from service.usecases.unmeasured import CURVE, FIGURES, TRUST, why_not_searched
from service.usecases.whole_jobs import run_whole_job, tell_progress

UNFINISHED = (JobState.OPENING, JobState.QUEUED, JobState.RUNNING, JobState.PAUSED)
STARTING_S = 30.0
"""How long a process that dies while it queues an optimisation keeps others from doing so."""

STAGE_CENTRALITY, STAGE_SEARCH, STAGE_THRESHOLDS, STAGE_JUDGE, STAGE_PUBLISH = (
    "centrality", "search", "thresholds", "judge", "publish",
)  # fmt: skip


def start_optimise(context: Context, tenant: str, name: str, request: OptimiseRequest, *, alone: bool = False) -> Job:
    """Queue an optimisation.

    Raises:
        CatalogueNotFound: the tenant has no such catalogue.
        NothingToServe: it is empty.
        Busy: with `alone`, while another optimisation of it is not finished.
    """
    catalogue = context.registry.catalogue(tenant, name)
    partition_of(catalogue)
    if not alone:
        return _queued(context, catalogue, request)
    # Of two that ask at once, the second is told so: its owner is made unique, threads of one process are two askers.
    mine = replace(context, owner=f"{context.owner}/{uuid.uuid4().hex}")
    with kept_lease(mine, f"optimise:{catalogue.id}", STARTING_S):
        _refuse_a_second(context, catalogue)
        return _queued(context, catalogue, request)


def _refuse_a_second(context: Context, catalogue: Catalogue) -> None:
    for job in context.registry.jobs(UNFINISHED, catalogue.id):
        if job.kind is JobKind.OPTIMISE:
            raise Busy(
                f"catalogue {catalogue.name!r} is being optimised already, by job {job.id} ({job.state}): wait for it, "
                "or cancel it",
                job=job.id,
            )


def _queued(context: Context, catalogue: Catalogue, request: OptimiseRequest) -> Job:
    opened = context.registry.open_job(catalogue, JobKind.OPTIMISE, request.as_dict())
    context.registry.seal_job(opened.id, context.limits.chunk_images)
    job = context.registry.job(opened.id)  # as it waits, not as it was opened
    context.queue.enqueue(RunOptimise(job.id))
    return job


def run_optimise(context: Context, job_id: str, threads: int = 1) -> None:
    """Carry out an optimise job (`run_whole_job`), with that many threads where pictures are many."""
    run_whole_job(context, job_id, lambda context, job: _result(context, job, threads))


def _result(context: Context, job: Job, threads: int) -> dict[str, Any]:
    catalogue = context.registry.catalogue_by_id(job.catalogue_id)
    selection_id = str(uuid.uuid5(uuid.UUID(job.id), "selection"))
    selection = _published_before(context, catalogue, selection_id)
    if selection is None:
        request = OptimiseRequest.from_dict(job.parameters)
        draft = _draft(context, catalogue, job, request, threads)
        tell_progress(context, job, STAGE_PUBLISH, 0, 1)
        selection = publish(context, catalogue, draft, selection_id=selection_id)
        context.registry.set_progress(job.id, STAGE_PUBLISH, 1, 1)
    return selection_summary(context, context.registry.catalogue_by_id(catalogue.id), selection)


def _published_before(context: Context, catalogue: Catalogue, selection_id: str) -> Selection | None:
    """The selection of an earlier run of the same job that died between publishing and saying so."""
    try:
        selection = context.registry.selection(catalogue.id, selection_id)
    except SelectionNotFound:
        return None
    return selection if selection.state in (SelectionState.ACTIVE, SelectionState.RETIRED) else None


def _draft(context: Context, catalogue: Catalogue, job: Job, request: OptimiseRequest, threads: int) -> Draft:
    holdings = load_holdings(context, catalogue)
    _store_centralities(context, catalogue, job, holdings.support)
    known = joined(holdings.support, holdings.tuning)
    balanced = request.metric == "macro_f1"
    unsearched = why_not_searched(known)
    fitter = None if unsearched else CrossFitter(known, request.seed, balanced=balanced, threads=threads)
    recipe = _recipe(context, catalogue, job, request, holdings, fitter)
    candidate = build(recipe, holdings.support, holdings.tuning, request.seed, balanced=balanced)
    judgement = judge_candidate(
        candidate,
        holdings,
        request,
        context.search,
        context.limits.gate_margin,
        lambda done, total: tell_progress(context, job, STAGE_JUDGE, done, total),
        searched=fitter is not None,
        threads=threads,
    )
    # A budget, or all references, is the user's word: then that serves, and `why` says what it costs.
    asked = request.budget is not None or request.strategy == "all"
    accepted = judgement.verdict.passes or fitter is None or asked
    served = _served(candidate, holdings, request, accepted=accepted)
    answering = recipe
    if not accepted and fitter is not None:
        answering = _calibrated_all(fitter, served.recipe)
        served = replace(served, recipe=replace(served.recipe, temperature=answering.temperature))
    member = HOLOTYPE if accepted else "all"
    judged = candidate if accepted else everything(candidate, holdings.support)
    # What serves has the temperature of its own answers, and so has what is measured.
    judged = replace(judged, recipe=replace(judged.recipe, temperature=answering.temperature))
    trusted = measure_trust(
        fitter,
        judged,
        replace(recipe, temperature=answering.temperature),
        holdings.holdout,
        all_serve=not accepted,
        by_class=request.rejection == "class",
    )
    policy = trusted.figures.get("policy")
    figures = figures_of(judgement, known.classes, member, request.seed)
    unjudged = unjudged_classes(judgement, known)
    if fitter is not None and unjudged:
        figures["per_class"] = figures["per_class"] | cross_fitted_classes(fitter, answering, unjudged)
    return Draft(
        recipe=served.recipe.as_dict(),
        head=served.head,
        members=_members(served),
        projections=served.projections,
        thresholds={
            label: float(value)
            for label, value in zip(served.data.classes, served.thresholds, strict=True)
            if np.isfinite(value)
        },
        split_hash=holdings.split_hash,
        seed=request.seed,
        why=explain(
            judgement,
            holdings,
            request,
            len(candidate.references),
            len(served.references),
            context.limits.gate_margin,
            unjudged,
            searched=fitter is not None,
        ),
        measured_on=judgement.measured_on,
        figures={
            **figures,
            **trusted.figures,
            "unmeasured": trusted.unmeasured | _unmeasured(judgement, unsearched),
            **measured_blend(context, catalogue, fitter, answering),
            "gate_passed": judgement.verdict.passes, "refit": request.refit, AS_OF: holdings.read_at,
            "splits": {
                "support": len(holdings.support), "tuning": len(holdings.tuning), "holdout": len(holdings.holdout),
            },
        },
        report={**report_of(judgement, served, holdings.support, fitter, member, policy), **trusted.report},
    )  # fmt: skip


def _unmeasured(judgement: Judgement, unsearched: str | None) -> dict[str, str]:
    """Why parts cannot be had, where nothing could be searched; without a search there may be a holdout still."""
    if unsearched is None:
        return {}
    return dict.fromkeys((CURVE, *TRUST) if judgement.comparison else (FIGURES, CURVE, *TRUST), unsearched)


def _calibrated_all(fitter: CrossFitter, recipe: Recipe) -> Recipe:
    """All references, none doubted, with the temperature of their own answers, not of the choice that was refused."""
    return calibrated(fitter, replace(recipe, cleaning="none", maximum=None))


def _store_centralities(context: Context, catalogue: Catalogue, job: Job, support: LabelledEmbeddings) -> None:
    tell_progress(context, job, STAGE_CENTRALITY, 0, 1)
    values = eigenvector_centrality(support.embeddings).values
    payloads = {key: {"centrality": float(value)} for key, value in zip(support.ids, values, strict=True)}
    context.store.set_payload(partition_of(catalogue), payloads)
    tell_progress(context, job, STAGE_CENTRALITY, 1, 1)


def _recipe(
    context: Context,
    catalogue: Catalogue,
    job: Job,
    request: OptimiseRequest,
    holdings: Holdings,
    fitter: CrossFitter | None,
) -> Recipe:
    """One-shot data, or one class, cannot choose anything: every picture serves, on the raw embedding."""
    if fitter is None:
        return Recipe(maximum=request.budget)
    check_searchable(request, len(holdings.support.classes))

    def finished(stage: str) -> dict[str, Any]:
        study = f"{catalogue.id}/{study_key(holdings.split_hash, request, stage)}"  # goes with its catalogue
        done = context.registry.trials(study)
        count = len(done)

        def on_trial(trial: Trial) -> None:
            nonlocal count
            count += 1
            context.registry.add_trial(study, trial)
            tell_progress(context, job, stage, count, request.trials)

        tell_progress(context, job, stage, count, request.trials)
        return {"finished": done, "on_trial": on_trial}

    active = _active_recipe(context, catalogue)
    recipe = search_recipe(
        context.search, fitter, request, trials=request.trials, active=active, **finished(STAGE_SEARCH)
    )
    if request.search == "sweep":
        return recipe
    swept = build(recipe, holdings.support, holdings.tuning, request.seed, balanced=request.metric == "macro_f1").recipe
    return search_thresholds(context.search, fitter, request, swept, **finished(STAGE_THRESHOLDS))


def _active_recipe(context: Context, catalogue: Catalogue) -> Recipe | None:
    if catalogue.active_selection is None:
        return None
    return Recipe.from_dict(context.registry.selection(catalogue.id, catalogue.active_selection).recipe)


def _served(candidate: Fitted, holdings: Holdings, request: OptimiseRequest, *, accepted: bool) -> Fitted:
    """What queries will meet: the candidate or, where the gate refused it, all references; refitted if asked."""
    support, fitted = holdings.support, candidate
    if request.refit:
        support = joined(joined(support, holdings.tuning), holdings.holdout)
        none = support.take(np.zeros(0, np.int64))
        fitted = build(candidate.recipe, support, none, request.seed, balanced=request.metric == "macro_f1")
    return fitted if accepted else everything(fitted, support)


def _members(served: Fitted) -> tuple[SelectionMember, ...]:
    data = served.data
    return tuple(
        SelectionMember(
            example_id=data.ids[row],
            label=data.classes[data.codes[row]],
            centrality=float(served.centralities[row]),
        )
        for row in served.references
    )

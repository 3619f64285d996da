"""An optimisation from the request to what answers: the gate's word, the refit, the budget, and what is told."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from service.core.centrality import eigenvector_centrality
from service.core.crossfit import CrossFitter
from service.core.evaluation import evaluate
from service.core.fitting import everything
from service.core.pipeline import HOLOTYPE, build, compare, joined
from service.core.recipe import Recipe
from service.core.reference_set import ReferenceSet
from service.errors import CatalogueNotFound, NothingToServe
from service.ports import RunOptimise
from service.records import JobKind, JobState, SelectionState, Split
from service.usecases import optimise as module
from service.usecases.context import partition_of, references_key
from service.usecases.holdings import load_holdings
from service.usecases.optimise import run_optimise, start_optimise
from service.usecases.optimise_request import OptimiseRequest
from service.usecases.recipe_search import calibrated
from service.usecases.resolver import Resolver
from service.usecases.selections import head_of, recipe_of, selection_summary
from service.usecases.unmeasured import ONE_CLASS, ONE_PICTURE, TRUST
from tests.core.clusters import clusters
from tests.fakes import FakeSearch, fake_context
from tests.usecases.optimising import (
    LOPSIDED,
    MEDOIDS,
    FixedSearch,
    clear_cut,
    lopsided,
    members_of,
    one_of_each,
    only,
    optimised,
    planted,
    renamed,
    serving,
    split_of,
    started,
    with_row,
)

pytestmark = pytest.mark.usefixtures("what_is_found_is_taken")


def accepted_case(**changes):
    return planted(*clear_cut(), search=FixedSearch(MEDOIDS), **changes)


def refused_case(**changes):
    return planted(*lopsided(), search=FixedSearch(LOPSIDED), **changes)


def candidate_of(context, catalogue, parameters, *, seed=0):
    """Holdings, and what the recipe makes of them by the core alone: candidate, its comparison, a cross-fitter."""
    holdings = load_holdings(context, catalogue)
    fitter = CrossFitter(joined(holdings.support, holdings.tuning), seed)
    recipe = calibrated(fitter, Recipe.from_dict(parameters))
    candidate = build(recipe, holdings.support, holdings.tuning, seed)
    return holdings, candidate, compare(candidate, holdings.support, holdings.holdout, seed), fitter


def share_right(context, catalogue, data):
    """Accuracy of what a query is answered now, through the store."""
    predictions = Resolver(context).resolve(catalogue, data.embeddings, top=3).predictions
    return np.mean([one.label == data.classes[code] for one, code in zip(predictions, data.codes, strict=True)])


def projections_of(context, selection):
    stored = ReferenceSet.from_bytes(context.blobs.get(references_key("acme", selection.id)))
    return dict(zip(stored.ids, stored.projections, strict=True))


# ------------------------------------------------------------------------------------------------------- asking


def test_asking_queues_the_job_with_all_that_was_asked():
    context, catalogue = planted(one_of_each())
    request = OptimiseRequest(trials=7, seed=3, metric="macro_f1", refit=False)
    job = start_optimise(context, "acme", "fruit", request)
    assert (job.kind, job.catalogue_id) == (JobKind.OPTIMISE, catalogue.id)
    assert OptimiseRequest.from_dict(context.registry.job(job.id).parameters) == request
    assert context.registry.job(job.id).state is JobState.QUEUED
    assert list(context.queue.messages) == [RunOptimise(job.id)]


def test_nothing_is_queued_where_there_is_nothing_to_optimise():
    context = fake_context()
    context.registry.create_catalogue("acme", "fruit", "fake")
    with pytest.raises(NothingToServe, match="ingest labelled pictures first"):
        start_optimise(context, "acme", "fruit", OptimiseRequest())
    with pytest.raises(CatalogueNotFound):
        start_optimise(context, "acme", "nuts", OptimiseRequest())
    assert not context.queue.messages
    assert not context.registry.job_rows


# ------------------------------------------------------------------------------------------------- the gate's word


def test_a_better_choice_serves_with_the_figures_of_the_holdout():
    context, catalogue = accepted_case()
    job = started(context, refit=False)
    run_optimise(context, job.id)
    selection = serving(context)
    holdings, candidate, comparison, _ = candidate_of(context, catalogue, MEDOIDS)
    assert members_of(context, selection) == {candidate.data.ids[row] for row in candidate.references}
    assert recipe_of(selection) == candidate.recipe
    assert (selection.state, selection.measured_on, selection.seed) == (SelectionState.ACTIVE, "holdout", 0)
    figures = selection.figures
    own = comparison.evaluations(holdings.support.classes)[HOLOTYPE]
    assert own.accuracy > figures["all_accuracy"], "the case should tell them apart"
    assert figures["accuracy"] == own.accuracy == share_right(context, serving_catalogue(context), holdings.holdout)
    assert (figures["gate_passed"], figures["refit"], figures["references"]) == (True, False, 4)
    assert figures["splits"] == {"support": 48, "tuning": 16, "holdout": 300}
    assert selection.why.startswith("4 of 48 pictures answer now. In the test 4 of 48 did ")
    assert selection.split_hash == holdings.split_hash
    assert selection.thresholds == pytest.approx(dict(zip(candidate.data.classes, candidate.thresholds, strict=True)))
    done = context.registry.job(job.id)
    assert (done.state, done.result) == (
        JobState.DONE,
        selection_summary(context, serving_catalogue(context), selection),
    )
    assert done.result["activated"] is True
    json.dumps(done.result)


def serving_catalogue(context):
    return context.registry.catalogue("acme", "fruit")


def test_members_carry_the_centrality_that_ranked_them_and_the_pulled_projection():
    parameters = {"head": "lda", "strategy": "thresholds", "space": "projected", "pull": 0.7, "quantile": 0.2}
    context, catalogue = planted(*clear_cut(), search=FixedSearch(parameters))
    selection = optimised(context, refit=False)
    _, candidate, _, _ = candidate_of(context, catalogue, parameters)
    rows = {candidate.data.ids[row]: row for row in candidate.references}
    for member in context.registry.members(selection.id):
        row = rows[member.example_id]
        assert member.centrality == candidate.centralities[row]
        assert member.label == candidate.data.classes[candidate.data.codes[row]]
    stored = projections_of(context, selection)
    assert np.allclose([stored[candidate.data.ids[row]] for row in candidate.references], candidate.projections)
    assert np.array_equal(head_of(context, selection).matrix, candidate.head.matrix)


def test_a_worse_choice_is_refused_and_all_references_serve_behind_its_head_and_pull():
    context, catalogue = refused_case()
    selection = optimised(context, refit=False)
    holdings, candidate, comparison, fitter = candidate_of(context, catalogue, LOPSIDED)
    whole = everything(candidate, holdings.support)
    assert members_of(context, selection) == set(holdings.support.ids)
    assert np.array_equal(head_of(context, selection).matrix, candidate.head.matrix)
    stored = projections_of(context, selection)
    assert np.allclose([stored[name] for name in whole.data.ids], whole.projections)
    recipe = recipe_of(selection)
    assert (recipe.strategy, recipe.class_shares, recipe.head, recipe.pull) == ("all", None, "lda", 0.1)
    own = calibrated(fitter, replace(whole.recipe, cleaning="none", maximum=None)).temperature
    assert recipe.temperature == own != pytest.approx(candidate.recipe.temperature)
    evaluations = comparison.evaluations(holdings.support.classes)
    assert evaluations["all"].accuracy > evaluations[HOLOTYPE].accuracy + 0.1
    figures = selection.figures
    assert figures["accuracy"] == evaluations["all"].accuracy
    assert figures["accuracy"] == share_right(context, serving_catalogue(context), holdings.holdout)
    assert figures["per_class"] == {label: dict(one) for label, one in evaluations["all"].per_class.items()}
    assert (figures["gate_passed"], figures["references"], figures["support"]) == (False, 90, 90)
    assert figures["panel"][HOLOTYPE]["accuracy"] == evaluations[HOLOTYPE].accuracy
    assert selection.why.startswith(
        "90 of 90 pictures answer now: fewer could lose more than 1 point. In the test 11 of 90 did"
    )
    report = json.loads(context.blobs.get(f"acme/reports/{selection.id}.json"))
    assert report["confusion"] == evaluations["all"].confusion_dict()


def test_a_refused_choice_leaves_all_labelled_pictures_after_a_refit():
    context, catalogue = refused_case()
    selection = optimised(context)
    holdings = load_holdings(context, catalogue)
    labelled = joined(joined(holdings.support, holdings.tuning), holdings.holdout)
    assert members_of(context, selection) == set(labelled.ids)
    assert (selection.figures["gate_passed"], selection.figures["refit"]) == (False, True)
    assert "after it all labelled pictures were candidates" in selection.why


def test_cleaning_keeps_nothing_back_from_all_references():
    """What the gate compared with is all of the support: pictures that look wrongly labelled are among them."""
    data = clear_cut()
    context, catalogue = planted(*data, search=FixedSearch({**LOPSIDED, "cleaning": "disputed"}), limits=never())
    holdings, candidate, _, fitter = candidate_of(context, catalogue, {**LOPSIDED, "cleaning": "disputed"})
    assert len(candidate.data) < len(holdings.support), "the case should have a picture to doubt"
    selection = optimised(context, refit=False)
    assert members_of(context, selection) == set(holdings.support.ids)
    open_recipe = replace(everything(candidate, holdings.support).recipe, cleaning="none", maximum=None)
    assert recipe_of(selection).temperature == calibrated(fitter, open_recipe).temperature


def never():
    """A gate that refuses whatever it measures."""
    return replace(fake_context().limits, gate_margin=-1.0)


def test_the_margin_is_the_settings():
    generous = replace(fake_context().limits, gate_margin=0.9)
    context, _ = refused_case(limits=generous)
    assert optimised(context).figures["gate_passed"] is True
    context, _ = accepted_case(limits=never())
    assert optimised(context).figures["gate_passed"] is False


def test_a_budget_serves_a_refused_choice_and_says_so():
    context, catalogue = refused_case()
    selection = optimised(context, refit=False, budget=15)
    holdings, candidate, comparison, _ = candidate_of(context, catalogue, {**LOPSIDED, "maximum": 15})
    figures = selection.figures
    assert figures["gate_passed"] is False
    assert members_of(context, selection) == {candidate.data.ids[row] for row in candidate.references}
    assert recipe_of(selection) == candidate.recipe
    counts = np.unique([member.label for member in context.registry.members(selection.id)], return_counts=True)[1]
    assert counts.max() == 15
    assert figures["accuracy"] == comparison.evaluations(holdings.support.classes)[HOLOTYPE].accuracy
    assert figures["accuracy"] < figures["all_accuracy"]
    assert "answer now: a budget of 15 a class was asked for" in selection.why


def test_a_small_holdout_leaves_the_judgement_to_cross_fitting():
    parts = clear_cut(each=(8, 3, 3))
    context, _ = planted(*parts, search=FixedSearch(MEDOIDS))
    selection = optimised(context, trials=1)
    assert selection.measured_on == "cross-fitting"
    assert selection.figures["images"] == sum(len(part) for part in parts)
    assert "each answered by a choice made without it" in selection.why
    assert len(context.search.calls) == 1 + 5


# ------------------------------------------------------------------------------------------------------- the refit


@pytest.mark.parametrize("parameters", [MEDOIDS, {"head": "lda", "strategy": "thresholds", "quantile": 0.1}])
def test_a_refit_chooses_from_every_labelled_picture_and_keeps_the_figures(parameters):
    context, catalogue = planted(*clear_cut(), search=FixedSearch(parameters))
    selection = optimised(context)
    holdings, candidate, _, _ = candidate_of(context, catalogue, parameters)
    whole = joined(joined(holdings.support, holdings.tuning), holdings.holdout)
    expected = build(candidate.recipe, whole, whole.take(np.zeros(0, np.int64)), 0)
    assert members_of(context, selection) == {expected.data.ids[row] for row in expected.references}
    assert split_of(context, members_of(context, selection))["holdout"] > 0
    stored = projections_of(context, selection)
    assert np.allclose([stored[expected.data.ids[row]] for row in expected.references], expected.projections)
    judged = candidate.recipe.class_shares and pytest.approx(candidate.recipe.class_shares, abs=0.5 / 91)
    assert recipe_of(selection).class_shares == judged, "to the picture"
    other, _ = planted(*clear_cut(), search=FixedSearch(parameters))
    plain = optimised(other, refit=False)
    assert {**selection.figures, "refit": False} == plain.figures
    assert f"In the test {len(candidate.references)} of 48 did" in selection.why, "the candidate that was judged"
    assert f"{len(members_of(context, selection))} of " in selection.why, "what serves"


def test_without_a_refit_only_support_serves():
    context, _ = accepted_case()
    selection = optimised(context, refit=False)
    assert set(split_of(context, members_of(context, selection))) == {"support"}
    assert "after it" not in selection.why


# -------------------------------------------------------------------------------------------------- what is asked


@pytest.mark.parametrize(
    ("strategy", "strategies"),
    [("thresholds", {"thresholds"}), ("medoids", {"medoids"}), ("all", {"all"}), ("auto", {"thresholds", "medoids"})],
)
def test_the_strategy_that_was_asked_for_is_served(strategy, strategies):
    context, _ = planted(*clear_cut(), search=FakeSearch())
    selection = optimised(context, strategy=strategy, refit=False, budget=3, trials=6)
    assert selection.recipe["strategy"] in strategies
    assert selection.recipe["maximum"] == 3
    assert len(members_of(context, selection)) <= 4 * 3


def test_all_without_a_budget_is_all():
    context, _ = planted(*clear_cut(), search=FixedSearch({"head": "lda"}))
    selection = optimised(context, strategy="all", refit=False)
    assert len(members_of(context, selection)) == 48
    assert selection.figures["difference"] == 0


@pytest.mark.parametrize("margin", [0.01, -1.0])
def test_all_references_that_were_asked_for_serve_whatever_the_gate_says(margin):
    limits = replace(fake_context().limits, gate_margin=margin)
    parameters = {"head": "lda", "cleaning": "disputed"}
    context, catalogue = planted(*clear_cut(each=(12, 4, 3)), search=FixedSearch(parameters), limits=limits)
    selection = optimised(context, strategy="all", refit=False)
    _, candidate, comparison, _ = candidate_of(context, catalogue, parameters)
    assert len(candidate.references) < 48, "the case should have a picture to doubt"
    assert members_of(context, selection) == set(candidate.data.ids)
    assert recipe_of(selection) == candidate.recipe
    assert (selection.measured_on, len(context.search.calls)) == ("holdout", 1)
    assert selection.figures["accuracy"] == comparison.evaluations(candidate.data.classes)[HOLOTYPE].accuracy
    assert selection.figures["gate_passed"] is False
    assert "answer now: all were asked for" in selection.why


def test_thresholds_are_searched_one_by_one_from_the_sweep_on():
    parameters = {"head": "lda", "strategy": "thresholds", "pull": 0.2, "quantile": 0.25}
    shares = {"share_0": 0.25, "share_1": 0.1, "share_2": 0.15, "share_3": 0.2}
    context, catalogue = planted(*clear_cut(), search=FixedSearch(parameters, shares))
    selection = optimised(context, search="thresholds", refit=False)
    _, swept, _, _ = candidate_of(context, catalogue, parameters)
    first, second = context.search.calls
    assert set(second["space"]) == set(shares)
    assert second["warm_start"] == [{f"share_{code}": swept.recipe.class_shares[f"c0{code}"] for code in range(4)}]
    assert "share_0" not in first["space"]
    kept = {"c00": 3 / 12, "c01": 1 / 12, "c02": 2 / 12, "c03": 2 / 12}
    assert selection.recipe["class_shares"] == pytest.approx(kept)
    studies = context.registry.trial_rows
    assert sorted(tuple(trials[0].parameters) for trials in studies.values()) == sorted(
        [tuple(parameters), tuple(shares)]
    )


def test_the_sweep_alone_runs_one_search():
    context, _ = accepted_case()
    optimised(context, search="sweep")
    assert len(context.search.calls) == len(context.registry.trial_rows) == 1


def test_too_many_classes_for_thresholds_one_by_one_end_the_job_before_the_search():
    context, _ = planted(clusters([2] * 101, width=16), search=FixedSearch(MEDOIDS))
    job = started(context, search="thresholds")
    run_optimise(context, job.id)
    assert (
        "takes at most 100 classes; this catalogue has 101: use the search 'sweep'"
        in context.registry.job(job.id).error
    )
    assert not context.search.calls
    assert serving_catalogue(context).active_selection is None


@pytest.mark.parametrize(("metric", "balanced"), [("accuracy", False), ("macro_f1", True)])
@pytest.mark.parametrize("search", ["sweep", "thresholds"])
def test_the_metric_is_what_every_step_maximises(monkeypatch, metric, balanced, search):
    parameters = {"head": "lda", "strategy": "thresholds", "pull": 0.2, "quantile": 0.25}
    builds, fitters = [], []

    def built(*args, **options):
        builds.append(options["balanced"])
        return build(*args, **options)

    def fitter(*args, **options):
        fitters.append(options["balanced"])
        return CrossFitter(*args, **options)

    monkeypatch.setattr(module, "build", built)
    monkeypatch.setattr(module, "CrossFitter", fitter)
    shares = {f"share_{code}": 0.2 for code in range(4)}
    context, catalogue = planted(*clear_cut(), search=FixedSearch(parameters, shares))
    optimised(context, metric=metric, search=search)
    assert builds == [balanced] * (3 if search == "thresholds" else 2)
    assert fitters == [balanced]
    holdings = load_holdings(context, catalogue)
    own = CrossFitter(joined(holdings.support, holdings.tuning), 0, balanced=balanced)
    crossfit = own.run(Recipe.from_dict(parameters))
    figures = evaluate(own.data.codes, crossfit.scores, own.data.classes)
    quality = figures.macro_f1 if balanced else figures.accuracy
    assert figures.macro_f1 != figures.accuracy
    trial = next(iter(context.registry.trial_rows.values()))[0]
    assert trial.value == pytest.approx(quality - 0.01 * crossfit.references / crossfit.support - 0.01 * (1 - 0.2))


def test_trials_and_seed_reach_the_search():
    context, _ = accepted_case()
    selection = optimised(context, trials=17, seed=5)
    (call,) = context.search.calls
    assert (call["trials"], call["seed"], selection.seed) == (17, 5, 5)


def test_what_serves_now_is_where_the_next_search_begins():
    context, _ = accepted_case()
    optimised(context)
    assert context.search.calls[0]["warm_start"][0]["medoids"] == 3
    optimised(context, seed=1)
    first = context.search.calls[1]["warm_start"][0]
    assert (first["medoids"], first["pull"], first["head"]) == (1, 0.2, "none")


def test_progress_names_its_stages(monkeypatch):
    told = []
    context, _ = planted(*clear_cut(each=(8, 3, 3)), search=FixedSearch(MEDOIDS))
    monkeypatch.setattr(context.registry, "set_progress", lambda job_id, *rest: told.append(rest) is None)
    optimised(context, trials=4)
    assert told == [
        ("centrality", 0, 1),
        ("centrality", 1, 1),
        ("search", 0, 4),
        ("search", 1, 4),
        *(("judge", done, 5) for done in range(6)),
        ("publish", 0, 1),
        ("publish", 1, 1),
    ]


# ------------------------------------------------------------------------------------------------------ thin data


def test_one_shot_is_judged_on_the_holdout_and_never_by_a_search():
    holdout = clusters([3, 3, 3, 3], noise=0.2, draw=1)
    context, _ = planted(one_of_each(), None, holdout, search=FixedSearch(MEDOIDS))
    selection = optimised(context, refit=False)
    assert context.search.calls == []
    assert (selection.measured_on, selection.figures["images"]) == ("holdout", 12)
    assert selection.why.startswith(
        "4 of 4 pictures answer now (one-shot): with one a class there is nothing to choose"
    )
    assert recipe_of(selection) == Recipe()
    assert len(members_of(context, selection)) == 4
    assert selection.figures["accuracy"] == share_right(context, serving_catalogue(context), holdout)
    assert not context.registry.trial_rows
    report = json.loads(context.blobs.get(f"acme/reports/{selection.id}.json"))
    assert report["curve"] == []
    assert selection.figures["unmeasured"] == dict.fromkeys(("curve", *TRUST), ONE_PICTURE)


def test_one_shot_without_a_holdout_is_measured_on_nothing():
    context, _ = planted(one_of_each(), search=FixedSearch(MEDOIDS))
    selection = optimised(context)
    assert context.search.calls == []
    assert selection.measured_on == "nothing"
    assert selection.figures == {
        "images": 0,
        "gate_passed": False,
        "refit": True,
        "as_of": context.clock(),
        "splits": {"support": 4, "tuning": 0, "holdout": 0},
        "unmeasured": dict.fromkeys(("figures", "curve", *TRUST), ONE_PICTURE),
    }
    assert "nothing can be chosen, and nothing measured" in selection.why
    assert len(members_of(context, selection)) == 4


@pytest.mark.parametrize(
    ("budget", "serve"), [(None, "Every picture answers now"), (2, "A budget of 2 serves, as was asked")]
)
def test_one_class_is_measured_on_nothing_however_many_pictures_it_has(budget, serve):
    """Whatever is asked, the answer is right: 100 % would be a figure of nothing."""
    pictures = (clusters([count], noise=0.2, draw=draw) for draw, count in enumerate((5, 3, 3)))
    context, _ = planted(*pictures, search=FixedSearch(MEDOIDS))
    selection = optimised(context, budget=budget)
    assert context.search.calls == []
    assert (selection.measured_on, selection.figures["images"]) == ("nothing", 0)
    told = "with one class nothing can be told apart, so nothing was chosen and nothing measured"
    assert selection.why == f"{serve}: {told}."
    assert recipe_of(selection) == Recipe(maximum=budget)
    assert len(members_of(context, selection)) == (budget or 11)
    assert not {"accuracy", "ece", "policy", "verification"} & set(selection.figures)
    assert selection.figures["unmeasured"] == dict.fromkeys(("figures", "curve", *TRUST), ONE_CLASS)


def test_one_shot_claims_no_cross_fitting_for_a_class_without_a_judging_picture():
    holdout = only(clusters([3, 3, 3, 3], noise=0.2, draw=1), [0, 1, 2])
    context, _ = planted(one_of_each(), None, holdout, search=FixedSearch(MEDOIDS))
    selection = optimised(context, refit=False)
    assert set(selection.figures["per_class"]) == {"c00", "c01", "c02"}
    assert "'c03' had no picture to judge with" in selection.why
    assert "cross-fitted" not in selection.why


def vague_class(data, draw):
    """The same, but the pictures of class 1 are all over the place."""
    vague = clusters([len(only(data, [code])) for code in range(4)], noise=0.5, draw=draw)
    return replace(data, embeddings=np.where((data.codes == 1)[:, None], vague.embeddings, data.embeddings))


@pytest.mark.parametrize("refused", [False, True])
def test_classes_without_a_judging_picture_get_cross_fitted_figures_of_what_serves(refused):
    support, tuning, holdout = lopsided() if refused else clear_cut(each=(12, 4, 120))
    parameters, missing, judged = (LOPSIDED, 0, [1, 2]) if refused else (MEDOIDS, 1, [0, 2, 3])
    if not refused:
        support, tuning = vague_class(support, 7), vague_class(tuning, 8)
    context, catalogue = planted(support, tuning, only(holdout, judged), search=FixedSearch(parameters))
    selection = optimised(context, refit=False)
    assert (selection.measured_on, selection.figures["gate_passed"]) == ("holdout", not refused)
    per_class = selection.figures["per_class"]
    assert set(per_class) == set(support.classes)
    name = support.classes[missing]
    assert [label for label, one in per_class.items() if "measured_on" in one] == [name]
    _, candidate, _, fitter = candidate_of(context, catalogue, parameters)
    everything_open = replace(candidate.recipe, strategy="all", cleaning="none", class_shares=None)
    chosen, whole = (
        evaluate(fitter.data.codes, fitter.run(recipe).scores, fitter.data.classes).per_class[name]
        for recipe in (candidate.recipe, everything_open)
    )
    assert chosen != whole, "the case should tell them apart"
    assert per_class[name] == {**(whole if refused else chosen), "measured_on": "cross-fitting"}
    assert per_class[name]["images"] == len(only(support, [missing])) + len(only(tuning, [missing]))
    assert f"'{name}' had no picture to judge with: their figures are cross-fitted" in selection.why


def test_a_class_without_support_is_served_by_its_other_pictures_provisionally():
    support, tuning, holdout = clear_cut()
    context, _ = planted(only(support, [0, 1, 2]), tuning, holdout, search=FixedSearch(MEDOIDS))
    selection = optimised(context, refit=False, budget=1)
    assert set(selection.thresholds) == {"c00", "c01", "c02"}
    provisional = members_of(context, selection, provisional=True)
    assert split_of(context, provisional) == {"tuning": 4, "holdout": 75}
    assert "'c03' have no support picture: pictures of other splits serve, provisionally" in selection.why
    refitted, _ = planted(only(support, [0, 1, 2]), tuning, holdout, search=FixedSearch(MEDOIDS))
    selection = optimised(refitted, budget=1)
    assert members_of(refitted, selection, provisional=True) == set()
    assert "c03" in selection.thresholds
    assert "no support picture" not in selection.why


def test_near_duplicates_across_the_splits_judge_nothing_and_are_told():
    support, tuning, holdout = clear_cut()
    support, tuning = renamed(support, 3, "twin1/s"), renamed(tuning, 0, "twin2/t")
    holdout = with_row(holdout, support.embeddings[3], 0, "twin1/h")
    holdout = with_row(holdout, tuning.embeddings[0], 0, "twin2/h")
    context, _ = planted(support, tuning, holdout, search=FixedSearch(MEDOIDS))
    selection = optimised(context)
    assert selection.figures["images"] == selection.figures["splits"]["holdout"] == 300
    assert "2 holdout pictures have near-duplicates in other splits and judged nothing" in selection.why


def test_the_support_carries_its_centrality_whatever_is_chosen():
    context, catalogue = accepted_case()
    optimised(context)
    support = load_holdings(context, catalogue).support
    expected = dict(zip(support.ids, eigenvector_centrality(support.embeddings).values, strict=True))
    ids = [one.id for one in context.registry.examples(catalogue.id)]
    points = context.store.fetch(partition_of(catalogue), ids, with_embeddings=False)
    payloads = zip(ids, points.payloads, strict=True)
    found = {name: payload["centrality"] for name, payload in payloads if "centrality" in payload}
    assert found == pytest.approx(expected)
    assert len(set(found.values())) > 40
    assert len(context.registry.examples(catalogue.id, Split.SUPPORT)) == len(found)

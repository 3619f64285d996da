"""An optimisation that is stopped, delivered twice, or fails: nothing is done twice, and somebody is told why."""

from __future__ import annotations

from collections import Counter

import pytest

from service.adapters.optuna_search import OptunaSearch
from service.errors import LeaseHeld, Unavailable
from service.records import JobState, SelectionState, Split
from service.usecases import optimise as module
from service.usecases.catalogues import delete_catalogue
from service.usecases.context import partition_of
from service.usecases.optimise import run_optimise
from service.usecases.publish import activate
from tests.fakes import FakeSearch
from tests.usecases.optimising import MEDOIDS, FixedSearch, clear_cut, one_of_each, optimised, planted, serving, started
from tests.usecases.serving import Killed, no_sleep


class Stopping:
    """A ParameterSearch that counts what is tried, and raises `error` once `after` trials were tried."""

    def __init__(self, search, error=None, after=0):
        self.search, self.error, self.after = search, error, after
        self.tried = []

    def maximise(self, space, objective, **options):
        def counted(parameters):
            if self.error is not None and len(self.tried) == self.after:
                error, self.error = self.error, None
                raise error
            self.tried.append(tuple(sorted(parameters.items())))
            return objective(parameters)

        return self.search.maximise(space, counted, **options)


def selections(context):
    return context.registry.selections(context.registry.catalogue("acme", "fruit").id)


def progress_of(context, monkeypatch):
    told, real = [], context.registry.set_progress
    monkeypatch.setattr(
        context.registry, "set_progress", lambda job_id, *rest: (told.append(rest), real(job_id, *rest))
    )
    return told


# ----------------------------------------------------------------------------------------------------- resumed


@pytest.mark.parametrize("inner", [FakeSearch(), OptunaSearch()], ids=["luck", "optuna"])
@pytest.mark.parametrize("error", [Killed(), Unavailable("the registry does not answer")], ids=["killed", "away"])
def test_a_stopped_search_goes_on_and_runs_no_trial_twice(monkeypatch, inner, error):
    asked = {"trials": 7, "strategy": "medoids", "seed": 2}
    straight, _ = planted(*clear_cut(), search=Stopping(inner))
    wanted = optimised(straight, **asked)
    search = Stopping(inner, error, after=4)
    context, _ = planted(*clear_cut(), search=search)
    job = started(context, **asked)
    with pytest.raises(type(error)):
        run_optimise(context, job.id)
    assert context.registry.job(job.id).state is JobState.RUNNING
    (stored,) = context.registry.trial_rows.values()
    assert len(stored) == len(search.tried) == 4
    told = progress_of(context, monkeypatch)
    run_optimise(context, job.id)
    assert search.tried == straight.search.tried
    assert len(search.tried) == len(stored) == 7
    assert [done for stage, done, _ in told if stage == "search"] == [4, 5, 6, 7]
    selection = serving(context)
    assert (selection.recipe, selection.figures) == (wanted.recipe, wanted.figures)


def test_the_search_over_thresholds_goes_on_too():
    asked = {"trials": 5, "search": "thresholds"}
    search = Stopping(FakeSearch(), Killed(), after=8)
    context, _ = planted(*clear_cut(), search=search)
    job = started(context, **asked)
    with pytest.raises(Killed):
        run_optimise(context, job.id)
    assert [len(trials) for trials in context.registry.trial_rows.values()] == [5, 3]
    run_optimise(context, job.id)
    assert [len(trials) for trials in context.registry.trial_rows.values()] == [5, 5]
    assert len(search.tried) == 10
    assert serving(context).recipe["strategy"] == "thresholds"


def test_the_same_question_is_answered_from_stored_trials_and_a_changed_one_is_not():
    context, catalogue = planted(*clear_cut(), search=Stopping(FakeSearch()))
    registry = context.registry
    first = optimised(context, trials=4)
    assert len(context.search.tried) == 4
    optimised(context, trials=4)
    assert len(context.search.tried) == 4
    (example, *_) = registry.examples(catalogue.id, Split.SUPPORT)
    registry.set_splits(catalogue.id, {example.id: Split.TUNING})
    context.clock.now += 100  # the slot has rested
    optimised(context, trials=4)
    assert len(context.search.tried) == 8
    assert serving(context).split_hash != first.split_hash


def test_a_study_goes_with_its_catalogue():
    context, catalogue = planted(*clear_cut(), search=FixedSearch(MEDOIDS))
    optimised(context)
    (study,) = context.registry.trial_rows
    assert study.startswith(f"{catalogue.id}/")
    delete_catalogue(context, "acme", "fruit")
    assert not context.registry.trial_rows


# ---------------------------------------------------------------------------------------------- delivered again


def test_delivered_twice_it_publishes_once():
    context, _ = planted(*clear_cut(), search=FixedSearch(MEDOIDS))
    job = started(context)
    run_optimise(context, job.id)
    done = context.registry.job(job.id)
    puts = context.blobs.puts.copy()
    run_optimise(context, job.id)
    assert len(selections(context)) == len(context.search.calls) == 1
    assert context.registry.job(job.id) == done
    assert context.blobs.puts == puts


def test_two_jobs_are_two_selections():
    context, _ = planted(*clear_cut(), search=FixedSearch(MEDOIDS))
    first, second = optimised(context), optimised(context)
    assert first.id != second.id
    assert Counter(one.state for one in selections(context)) == {SelectionState.ACTIVE: 1, SelectionState.RETIRED: 1}


def killed_before_saying_so(monkeypatch):
    """A context whose job died between publishing and finishing."""
    context, _ = planted(*clear_cut(), search=FixedSearch(MEDOIDS))
    job = started(context)
    with monkeypatch.context() as patched:
        patched.setattr(context.registry, "finish_job", die)
        with pytest.raises(Killed):
            run_optimise(context, job.id)
    assert context.registry.job(job.id).state is JobState.RUNNING
    return context, job


def die(*_, **__):
    raise Killed


def test_killed_between_publishing_and_saying_so_it_only_says_so(monkeypatch):
    context, job = killed_before_saying_so(monkeypatch)
    published = serving(context)
    run_optimise(context, job.id)
    assert len(selections(context)) == len(context.search.calls) == 1
    done = context.registry.job(job.id)
    assert (done.state, done.result["selection"], done.result["activated"]) == (JobState.DONE, published.id, True)


def test_what_was_published_and_replaced_meanwhile_stays_replaced(monkeypatch):
    context, job = killed_before_saying_so(monkeypatch)
    first = serving(context)
    second = optimised(context)
    run_optimise(context, job.id)
    assert serving(context).id == second.id
    assert len(selections(context)) == len(context.search.calls) == 2
    done = context.registry.job(job.id)
    assert (done.result["selection"], done.result["activated"]) == (first.id, False)
    assert done.result["state"] == "retired"
    activate(context, "acme", "fruit", first.id, sleep=no_sleep)


def test_killed_while_publishing_it_publishes_again(monkeypatch):
    context, _ = planted(*clear_cut(), search=FixedSearch(MEDOIDS))
    job = started(context)
    with monkeypatch.context() as patched:
        patched.setattr(context.registry, "activate_selection", die)
        with pytest.raises(Killed):
            run_optimise(context, job.id)
    (half,) = selections(context)
    assert half.state is not SelectionState.ACTIVE
    assert context.registry.catalogue("acme", "fruit").active_selection is None
    run_optimise(context, job.id)
    assert serving(context).id == half.id
    assert len(selections(context)) == 1


# ------------------------------------------------------------------------------------------------------- errors


def failed(context, **asked):
    job = started(context, **asked)
    run_optimise(context, job.id)
    done = context.registry.job(job.id)
    assert (done.state, done.result) == (JobState.FAILED, None)
    assert not selections(context)
    return done.error


def test_missing_points_are_counted_and_end_the_job():
    context, catalogue = planted(*clear_cut(), search=FixedSearch(MEDOIDS))
    gone = [one.id for one in context.registry.examples(catalogue.id, Split.TUNING)][:2]
    context.store.delete(partition_of(catalogue), gone)
    assert failed(context).startswith("2 of 364 examples have a row and no point in the vector store: ingest")


def test_a_catalogue_without_support_says_what_to_do():
    context, catalogue = planted(one_of_each())
    examples = context.registry.examples(catalogue.id)
    context.registry.set_splits(catalogue.id, {one.id: Split.HOLDOUT for one in examples})
    assert "has 4 usable examples and none in the split 'support'" in failed(context)


def test_what_nobody_foresaw_ends_the_job_and_is_raised():
    search = Stopping(FakeSearch(), ValueError("shapes (3,) and (4,)"))
    context, _ = planted(*clear_cut(), search=search)
    job = started(context)
    with pytest.raises(ValueError, match="shapes"):
        run_optimise(context, job.id)
    done = context.registry.job(job.id)
    assert (done.state, done.error) == (JobState.FAILED, "unexpected ValueError: shapes (3,) and (4,)")
    run_optimise(context, job.id)
    assert context.registry.job(job.id) == done
    assert not search.tried


def test_a_job_that_somebody_works_on_is_left_to_them():
    context, _ = planted(*clear_cut(), search=FixedSearch(MEDOIDS))
    job = started(context)
    context.registry.take_lease(f"job:{job.id}", "somebody else", 60)
    with pytest.raises(LeaseHeld):
        run_optimise(context, job.id)
    assert context.registry.job(job.id).state is JobState.QUEUED
    assert not context.search.calls
    context.clock.now += 61
    run_optimise(context, job.id)
    assert context.registry.job(job.id).state is JobState.DONE


@pytest.mark.parametrize("error", [LeaseHeld("somebody publishes"), Unavailable("the vector store does not answer")])
def test_a_publication_that_has_to_wait_does_not_end_the_job(monkeypatch, error):
    context, _ = planted(*clear_cut(), search=FixedSearch(MEDOIDS))
    job = started(context)

    def refuse(*_, **__):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(module, "publish", refuse)
        with pytest.raises(type(error)):
            run_optimise(context, job.id)
    assert context.registry.job(job.id).state is JobState.RUNNING
    assert not context.registry.leases, "whoever comes next need not wait"
    run_optimise(context, job.id)
    assert context.registry.job(job.id).state is JobState.DONE
    assert len(selections(context)) == 1

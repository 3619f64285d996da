"""The methods that both clients have, each written down once.

A method is a request's maker wrapped in `Method`: on a `Holotype` it returns the answer's value, on an `AsyncHolotype`
an awaitable of it. Signatures are those of the makers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from service.client.calls import Call
from service.client.routes import asking, catalogues, health, jobs, selections, tenancy

if TYPE_CHECKING:
    from service.client.asynchronous import AsyncHolotype
    from service.client.synchronous import Holotype

P = ParamSpec("P")
T = TypeVar("T")


class Method(Generic[P, T]):
    """A maker of requests as a method of whichever client it is looked up on."""

    def __init__(self, make: Callable[P, Call[T]]) -> None:
        self.make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, client: Holotype, owner: type | None = None) -> Callable[P, T]: ...

    @overload
    def __get__(self, client: AsyncHolotype, owner: type | None = None) -> Callable[P, Awaitable[T]]: ...

    @overload
    def __get__(self, client: None, owner: type | None = None) -> Method[P, T]: ...

    def __get__(self, client: Any, owner: type | None = None) -> Any:
        if client is None:
            return self

        def method(*args: P.args, **options: P.kwargs) -> Any:  # noqa: ANN401  a value or an awaitable
            return client.ask(self.make(*args, **options))

        method.__doc__, method.__name__ = self.make.__doc__, self.make.__name__
        return method


class Surface:
    """Every route of the API."""

    livez = Method(health.livez)
    readyz = Method(health.readyz)
    metrics = Method(health.metrics)
    me = Method(tenancy.me)
    create_tenant = Method(tenancy.create_tenant)
    list_tenants = Method(tenancy.list_tenants)
    show_tenant = Method(tenancy.show_tenant)
    change_tenant = Method(tenancy.change_tenant)
    delete_tenant = Method(tenancy.delete_tenant)
    create_key = Method(tenancy.create_key)
    list_keys = Method(tenancy.list_keys)
    show_key = Method(tenancy.show_key)
    rotate_key = Method(tenancy.rotate_key)
    revoke_key = Method(tenancy.revoke_key)

    create_catalogue = Method(catalogues.create_catalogue)
    list_catalogues = Method(catalogues.list_catalogues)
    show_catalogue = Method(catalogues.show_catalogue)
    delete_catalogue = Method(catalogues.delete_catalogue)
    import_archive = Method(catalogues.import_archive)
    list_labels = Method(catalogues.list_labels)
    rename_label = Method(catalogues.rename_label)
    delete_label = Method(catalogues.delete_label)
    list_prompts = Method(catalogues.list_prompts)
    show_prompts = Method(catalogues.show_prompts)
    put_prompts = Method(catalogues.put_prompts)
    delete_prompts = Method(catalogues.delete_prompts)
    hygiene = Method(catalogues.hygiene)
    decide = Method(catalogues.decide)
    show_map = Method(catalogues.show_map)
    list_examples = Method(catalogues.list_examples)
    show_example = Method(catalogues.show_example)
    relabel_example = Method(catalogues.relabel_example)
    drop_example = Method(catalogues.drop_example)
    drop_examples = Method(catalogues.drop_examples)
    list_dropped = Method(catalogues.list_dropped)
    example_image = Method(catalogues.example_image)
    example_thumbnail = Method(catalogues.example_thumbnail)

    list_selections = Method(selections.list_selections)
    show_selection = Method(selections.show_selection)
    list_references = Method(selections.list_references)
    diff_selections = Method(selections.diff_selections)
    activate_selection = Method(selections.activate_selection)
    roll_back_selection = Method(selections.roll_back_selection)
    selection_report = Method(selections.selection_report)
    selection_confusion = Method(selections.selection_confusion)
    confused_pictures = Method(selections.confused_pictures)

    start_ingest = Method(jobs.start_ingest)
    start_url_ingest = Method(jobs.start_url_ingest)
    add_pictures = Method(jobs.add_pictures)
    seal = Method(jobs.seal)
    optimise = Method(jobs.optimise)
    list_jobs = Method(jobs.list_jobs)
    show_job = Method(jobs.show_job)
    list_items = Method(jobs.list_items)
    job_results = Method(jobs.job_results)
    pause_job = Method(jobs.pause_job)
    resume_job = Method(jobs.resume_job)
    cancel_job = Method(jobs.cancel_job)
    retry_job = Method(jobs.retry_job)
    create_webhook = Method(jobs.create_webhook)
    list_webhooks = Method(jobs.list_webhooks)
    show_webhook = Method(jobs.show_webhook)
    delete_webhook = Method(jobs.delete_webhook)
    list_deliveries = Method(jobs.list_deliveries)
    test_webhook = Method(jobs.test_webhook)

    classify = Method(asking.classify)
    verify = Method(asking.verify)
    search = Method(asking.search)
    stored_evaluation = Method(asking.stored_evaluation)
    evaluate = Method(asking.evaluate)
    preview = Method(asking.preview)
    suggest_next = Method(asking.suggest_next)

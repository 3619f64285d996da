"""Fine-tune a copy of a catalogue's encoder on its own pictures: a job, for machines with a GPU.

Support is learnt from, tuning says when to stop, the holdout judges both encoders, each alone and behind a head. The
catalogue stays on its encoder: what comes of it is a new one, for a new catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from service.core.evaluation import bootstrap_interval
from service.core.model import BoolArray, Float32Array, LabelledEmbeddings
from service.core.projection import Head, Scatter, fit_head, identity_head
from service.core.pull import class_means
from service.errors import ImageRejected, InvalidInput, NotFound
from service.ports import Encoder, EncoderFinetuner, Finetuned, RunFinetune, TrainingPictures, TrainingPlan
from service.records import Catalogue, Example, Job, JobKind
from service.usecases.context import Context, image_key, partition_of
from service.usecases.encoding import embeddings_of, seen
from service.usecases.holdings import Holdings, load_holdings
from service.usecases.reading import encoder_of
from service.usecases.selections import chunked
from service.usecases.whole_jobs import run_whole_job, tell_progress

STAGE_TRAIN, STAGE_EMBED = "train", "embed"
HEAD_SHRINKAGE = 0.2
MOST_BLOCKS, MOST_EPOCHS, MOST_BATCH = 1000, 1000, 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneRequest:
    """Options of `holotype finetune`: see `TrainingPlan`. Raises InvalidInput for what nobody can mean."""

    blocks: int = 2
    epochs: int = 10
    batch: int = 32
    learning_rate: float = 1e-5
    seed: int = 0

    def __post_init__(self) -> None:
        for name, most in (("blocks", MOST_BLOCKS), ("epochs", MOST_EPOCHS), ("batch", MOST_BATCH)):
            value = getattr(self, name)
            if not 1 <= value <= most:
                raise InvalidInput(f"{name} is {value}; 1 to {most} can be used", **{name: value})
        if not 0.0 < self.learning_rate <= 1.0:
            raise InvalidInput(f"the learning rate is {self.learning_rate}; a number above 0, at most 1, is needed")
        if not 0 <= self.seed < 2**32:
            raise InvalidInput(f"the seed is {self.seed}; 0 to 4294967295 can be used", seed=self.seed)

    @property
    def plan(self) -> TrainingPlan:
        """The same, for the port."""
        return TrainingPlan(**asdict(self))


def start_finetune(context: Context, tenant: str, name: str, request: FinetuneRequest) -> Job:
    """Queue a fine-tuning.

    Raises:
        CatalogueNotFound: the tenant has no such catalogue.
        NothingToServe: it is empty.
        InvalidInput: its encoder has nothing to train, or it has fewer than two classes to learn.
    """
    catalogue = context.registry.catalogue(tenant, name)
    partition_of(catalogue)
    _finetuner(context).check(catalogue.encoder)
    _check_classes(catalogue, load_holdings(context, catalogue).support)
    job = context.registry.open_job(catalogue, JobKind.FINETUNE, asdict(request))
    context.registry.seal_job(job.id, context.limits.chunk_images)
    context.queue.enqueue(RunFinetune(job.id))
    return job


def run_finetune(context: Context, job_id: str) -> None:
    """Carry out a fine-tuning job (`run_whole_job`); one that was paused begins anew."""
    run_whole_job(context, job_id, _result)


def _result(context: Context, job: Job) -> dict[str, Any]:
    catalogue = context.registry.catalogue_by_id(job.catalogue_id)
    request = FinetuneRequest(**job.parameters)
    encoder = encoder_of(context, catalogue)
    holdings = load_holdings(context, catalogue)
    _check_classes(catalogue, holdings.support)
    pictures = _Pictures(context, catalogue, encoder)
    pictures.check(holdings)
    training = _training(pictures, holdings)
    tell_progress(context, job, STAGE_TRAIN, 0, request.epochs)

    def on_batch(done: int, total: int) -> None:
        tell_progress(context, job, STAGE_TRAIN, done, total)

    found = _finetuner(context).finetune(catalogue.encoder, training, request.plan, on_batch)
    return {
        **_told(found),
        **(_judged(context, job, holdings, pictures, found) if found.encoder is not None else {}),
    }


def _finetuner(context: Context) -> EncoderFinetuner:
    if context.finetuner is None:
        raise InvalidInput("this installation cannot train encoders")
    return context.finetuner


def _check_classes(catalogue: Catalogue, support: LabelledEmbeddings) -> None:
    present = len(np.unique(support.codes))
    if present < 2:
        raise InvalidInput(
            f"catalogue {catalogue.name!r} has support pictures of {present} class; two at least are needed to learn "
            "what tells them apart: ingest more",
            catalogue=catalogue.name,
        )


class _Pictures:
    """A catalogue's pictures by example id, as its encoder sees them."""

    def __init__(self, context: Context, catalogue: Catalogue, encoder: Encoder) -> None:
        self._context = context
        self._catalogue = catalogue
        self._encoder = encoder
        self.examples: Mapping[str, Example] = {one.id: one for one in context.registry.examples(catalogue.id)}

    def check(self, holdings: Holdings) -> None:
        """Raises InvalidInput where bytes are not stored: those of an archive without pictures never are."""
        ids = [*holdings.support.ids, *holdings.tuning.ids, *holdings.holdout.ids]
        lost = [one for one in ids if not self._context.blobs.exists(self._key(one))]
        if lost:
            raise InvalidInput(
                f"the bytes of {len(lost)} of {len(ids)} pictures are not stored, and training needs the pictures "
                f"themselves: ingest catalogue {self._catalogue.name!r} again from its files",
                catalogue=self._catalogue.name,
            )

    def inputs(self, ids: Sequence[str]) -> list[Float32Array]:
        """The encoder's inputs, decoded side by side. Raises InvalidInput for a picture that is gone."""
        with ThreadPoolExecutor(self._context.limits.decode_threads, thread_name_prefix="decode") as pool:
            return list(pool.map(self._input, ids))

    def embeddings(self, ids: Sequence[str], encoder: Encoder) -> Float32Array:
        """Unit rows (n, d) by another encoder, kept for whoever ingests them on it. Raises InvalidInput as `inputs`."""
        rows = []
        for some in chunked(ids, self._context.limits.chunk_images):
            names = [self.examples[one].picture for one in some]
            found = embeddings_of(self._context, encoder, self._catalogue.tenant, names)
            for one, name in zip(some, names, strict=True):
                outcome = found[name]
                if isinstance(outcome, str):
                    raise InvalidInput(f"{self.examples[one].source}: {outcome}")
                rows.append(outcome.embedding)
        return np.stack(rows)

    def _key(self, example_id: str) -> str:
        return image_key(self._catalogue.tenant, self.examples[example_id].content_hash)

    def _input(self, example_id: str) -> Float32Array:
        example = self.examples[example_id]
        try:
            data = self._context.blobs.get(self._key(example_id))
            return seen(self._context, self._encoder, data, example.crop)[1]
        except (ImageRejected, NotFound) as error:
            raise InvalidInput(f"{example.source}: {error.message}") from error


def _training(pictures: _Pictures, holdings: Holdings) -> TrainingPictures:
    ids = [*holdings.support.ids, *holdings.tuning.ids]
    codes = np.concatenate([holdings.support.codes, holdings.tuning.codes])
    learnt = np.arange(len(holdings.support))
    return TrainingPictures(
        inputs=lambda numbers: pictures.inputs([ids[number] for number in numbers]),
        codes=codes,
        learnt=learnt,
        # Of a class that nothing was learnt of there is nothing to be watched.
        watched=np.flatnonzero(np.isin(codes, codes[learnt]))[len(learnt) :],
    )


def _told(found: Finetuned) -> dict[str, Any]:
    return {
        "encoder": found.encoder,
        "folder": None if found.folder is None else str(found.folder),
        "epochs": found.epochs,
        "best_epoch": found.best_epoch,
        "watched": list(found.watched),
        "why": _why(found),
    }


def _why(found: Finetuned) -> str:
    before = f"{100 * found.watched[0]:.1f} % of the tuning pictures were nearest to their own class's mean"
    if found.encoder is None:
        return f"nothing is kept: {before} before, and no more after any of {found.epochs} epochs"
    return (
        f"{before} before, {100 * found.watched[found.best_epoch]:.1f} % after epoch {found.best_epoch}, which is "
        "kept: make a catalogue on this encoder and ingest the pictures into it"
    )


def _judged(context: Context, job: Job, holdings: Holdings, pictures: _Pictures, found: Finetuned) -> dict[str, Any]:
    """Both encoders on pictures that chose nothing, or on the tuning pictures where there is no holdout."""
    encoder = context.encoders.load(str(found.encoder))
    judged, measured_on = (holdings.holdout, "holdout") if len(holdings.holdout) else (holdings.tuning, "tuning")
    value: dict[str, Any] = {"fingerprint": encoder.fingerprint.digest}
    if not len(judged):
        return value
    tell_progress(context, job, STAGE_EMBED, 0, 2)
    support = replace(holdings.support, embeddings=pictures.embeddings(holdings.support.ids, encoder))
    tell_progress(context, job, STAGE_EMBED, 1, 2)
    after = replace(judged, embeddings=pictures.embeddings(judged.ids, encoder))
    tell_progress(context, job, STAGE_EMBED, 2, 2)
    kinds = {"raw": False, "head": True}
    return value | {
        "measured_on": measured_on,
        "images": len(judged),
        "before": {name: _accuracy(_right(holdings.support, judged, head=head)) for name, head in kinds.items()},
        "after": {name: _accuracy(_right(support, after, head=head)) for name, head in kinds.items()},
    }


def _right(support: LabelledEmbeddings, judged: LabelledEmbeddings, *, head: bool) -> BoolArray:
    """Which judged pictures are nearest to their own class's mean, bool (n,), raw or behind an LDA head."""
    seen_through: Head = identity_head(support.embeddings.shape[1])
    if head:
        seen_through = fit_head("lda", Scatter.of(support.embeddings, support.codes), HEAD_SHRINKAGE)
    means = class_means(seen_through.project(support.embeddings), support.codes, len(support.classes))
    answers = (seen_through.project(judged.embeddings) @ means.T).argmax(axis=1)
    return np.asarray(answers == judged.codes)


def _accuracy(right: BoolArray) -> dict[str, Any]:
    return {"accuracy": float(right.mean()), "interval": list(bootstrap_interval(right, 0))}

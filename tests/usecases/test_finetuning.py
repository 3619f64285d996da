"""The fine-tuning job: what it asks of the trainer, what it tells, and how it ends."""

from __future__ import annotations

import numpy as np
import pytest

from service.errors import InvalidInput, JobFailed, NothingToServe
from service.ports import Finetuned, RunFinetune
from service.records import JobKind, JobState, Split
from service.usecases.context import image_key
from service.usecases.finetuning import FinetuneRequest, run_finetune, start_finetune
from service.usecases.job_control import cancel_job, pause_job, resume_job
from service.usecases.jobs import wait_for_job
from service.usecases.sweep import sweep
from tests.fakes import FakeEncoder, fake_context, fruit, ingested, write_pictures


class Trainer:
    """An EncoderFinetuner that looks at every picture and gives what it is told to. `during` is called in between."""

    def __init__(self, found: Finetuned) -> None:
        self.found = found
        self.asked = None
        self.during = lambda: None

    def check(self, specification):
        if specification != "fake":
            raise InvalidInput(f"{specification} has no weights that could be tuned")

    def finetune(self, specification, pictures, plan, on_batch):
        self.asked = (specification, pictures, plan)
        self.seen = pictures.inputs([*pictures.learnt, *pictures.watched])
        on_batch(1, 2)
        self.during()
        on_batch(2, 2)
        return self.found


@pytest.fixture
def trainer(tmp_path):
    return Trainer(Finetuned(tmp_path / "tuned", "tuned", epochs=4, best_epoch=1, watched=(0.5, 0.75, 0.7, 0.7, 0.7)))


@pytest.fixture
def context(trainer, tmp_path):
    made = fake_context(finetuner=trainer)
    made.encoders.known["tuned"] = FakeEncoder("tuned")
    ingested(made, write_pictures(tmp_path / "fruit", fruit(12)))
    made.queue.messages.clear()
    return made


def ran(context, **options):
    job = start_finetune(context, "acme", "fruit", FinetuneRequest(**options))
    context.queue.messages.clear()
    run_finetune(context, job.id)
    return context.registry.job(job.id)


def test_support_is_learnt_from_and_tuning_watched(context, trainer):
    job = ran(context, blocks=1, epochs=4, seed=3)
    specification, pictures, plan = trainer.asked
    assert (specification, plan.blocks, plan.epochs, plan.seed) == ("fake", 1, 4, 3)
    catalogue = context.registry.catalogue("acme", "fruit")
    sizes = [len(context.registry.examples(catalogue.id, split)) for split in (Split.SUPPORT, Split.TUNING)]
    assert [len(pictures.learnt), len(pictures.watched)] == sizes
    examples = [*context.registry.examples(catalogue.id, Split.SUPPORT)]
    labels = [one.label for one in examples]
    assert pictures.codes[pictures.learnt].tolist() == [sorted(set(labels)).index(label) for label in labels]
    rows = np.stack(trainer.seen)
    assert rows.shape == (sum(sizes), 8), "as the encoder sees them"
    assert (job.kind, job.state) == (JobKind.FINETUNE, JobState.DONE)


def test_both_encoders_are_judged_on_the_holdout(context, trainer):
    result = ran(context).result
    assert (result["encoder"], result["epochs"], result["best_epoch"]) == ("tuned", 4, 1)
    assert result["measured_on"] == "holdout"
    catalogue = context.registry.catalogue("acme", "fruit")
    assert result["images"] == len(context.registry.examples(catalogue.id, Split.HOLDOUT))
    assert result["fingerprint"] == FakeEncoder("tuned").fingerprint.digest != FakeEncoder().fingerprint.digest
    # The "tuned" encoder of this test gives the same embeddings, so it can be neither better nor worse.
    assert result["before"] == result["after"]
    assert set(result["before"]) == {"raw", "head"}
    assert "50.0 % of the tuning pictures" in result["why"]
    assert "75.0 % after epoch 1, which is kept" in result["why"]


def test_the_new_embeddings_are_there_for_a_new_catalogue(context, trainer, tmp_path):
    ran(context)
    encoder = context.encoders.load("tuned")
    judged = encoder.encoded
    assert judged > 0
    context.registry.create_catalogue("acme", "again", "tuned")
    ingested(context, tmp_path / "fruit", "again", encoder="tuned")
    tuning = len(context.registry.examples(context.registry.catalogue("acme", "fruit").id, Split.TUNING))
    assert encoder.encoded == judged + tuning, "only what the job had no use for is encoded"


def test_where_nothing_was_better_nothing_is_judged(context, trainer):
    trainer.found = Finetuned(None, None, epochs=3, best_epoch=0, watched=(0.5, 0.5, 0.4, 0.5))
    result = ran(context).result
    assert result["encoder"] is None
    assert "before" not in result
    assert "nothing is kept: 50.0 %" in result["why"]
    assert "after any of 3 epochs" in result["why"]


def test_a_cancelled_one_ends_and_a_paused_one_begins_anew(context, trainer):
    job = start_finetune(context, "acme", "fruit", FinetuneRequest())
    trainer.during = lambda: pause_job(context, "acme", job.id)
    run_finetune(context, job.id)
    assert context.registry.job(job.id).state is JobState.PAUSED
    context.queue.messages.clear()
    sweep(context)
    assert RunFinetune(job.id) not in context.queue.messages
    resume_job(context, "acme", job.id)
    assert RunFinetune(job.id) in context.queue.messages
    trainer.during = lambda: cancel_job(context, "acme", job.id)
    run_finetune(context, job.id)
    assert context.registry.job(job.id).state is JobState.CANCELLED
    with pytest.raises(JobFailed, match="cancelled"):
        wait_for_job(context, job.id, lambda *_: None)


def test_a_lost_message_is_sent_again(context):
    job = start_finetune(context, "acme", "fruit", FinetuneRequest())
    context.queue.messages.clear()
    sweep(context)
    assert RunFinetune(job.id) in context.queue.messages


def test_pictures_whose_bytes_are_gone_are_counted(context):
    catalogue = context.registry.catalogue("acme", "fruit")
    for example in context.registry.examples(catalogue.id)[:3]:
        context.blobs.delete([image_key("acme", example.content_hash)])
    job = ran(context)
    assert job.state is JobState.FAILED
    assert "bytes of 3 of 24 pictures are not stored" in job.error


def test_what_cannot_be_learnt_is_refused_before_a_job_is_made(context, trainer, tmp_path):
    ingested(context, write_pictures(tmp_path / "one", fruit(6, labels=("apple",))), "one")
    with pytest.raises(InvalidInput, match="of 1 class; two at least"):
        start_finetune(context, "acme", "one", FinetuneRequest())
    context.registry.create_catalogue("acme", "empty", "fake")
    with pytest.raises(NothingToServe):
        start_finetune(context, "acme", "empty", FinetuneRequest())
    trainer.check = lambda _specification: (_ for _ in ()).throw(InvalidInput("nothing to tune"))
    with pytest.raises(InvalidInput, match="nothing to tune"):
        start_finetune(context, "acme", "fruit", FinetuneRequest())
    assert [job for job in context.registry.jobs([JobState.QUEUED]) if job.kind is JobKind.FINETUNE] == []


@pytest.mark.parametrize(
    "options", [{"blocks": 0}, {"epochs": 0}, {"batch": 5000}, {"learning_rate": 0.0}, {"seed": -1}], ids=str
)
def test_what_nobody_can_mean_is_refused(options):
    with pytest.raises(InvalidInput):
        FinetuneRequest(**options)

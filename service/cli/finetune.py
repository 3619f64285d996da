"""`holotype finetune`: a copy of the encoder whose last blocks have learnt a catalogue's pictures."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.options import CatalogueName, command
from service.cli.output import pairs
from service.cli.progress import stages
from service.cli.session import Session

app = typer.Typer()


@command(app, "finetune")
def finetune(
    session: Session,
    name: CatalogueName,
    blocks: Annotated[int, typer.Option(min=1, metavar="N", help="Last blocks of the network that are trained.")] = 2,
    epochs: Annotated[int, typer.Option(min=1, metavar="N", help="Times that each picture is seen, at most.")] = 10,
    batch: Annotated[int, typer.Option(min=1, metavar="N", help="Pictures a step.")] = 32,
    learning_rate: Annotated[float, typer.Option(metavar="RATE", help="Of the network's weights.")] = 1e-5,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of every random choice.")] = 0,
) -> None:
    """Train a copy of the encoder's last blocks; optional, and slow without a GPU.

    Support is learnt from, tuning says when to stop, the holdout judges both. The catalogue stays on its encoder: make
    another on the folder that is told. With a broker a worker of queue finetune does it, on its own disk.

    Example: holotype finetune groceries --blocks 2
    """
    from service.usecases.finetuning import FinetuneRequest, start_finetune
    from service.usecases.jobs import wait_for_job

    session.refuse_server("fine-tuning is done where the data are")
    request = FinetuneRequest(blocks=blocks, epochs=epochs, batch=batch, learning_rate=learning_rate, seed=seed)
    with session.working() as context, stages() as on_progress:
        job = start_finetune(context, session.tenant, name, request)
        result = dict(wait_for_job(context, job.id, on_progress).result or {})
    shown = {key: value for key, value in result.items() if key not in ("before", "after", "watched")}
    judged = {
        f"{when}, {how}": found["accuracy"]
        for when in ("before", "after")
        for how, found in result.get(when, {}).items()
    }
    session.output.result(
        result,
        pairs("Fine-tuning", shown),
        *([pairs(f"Nearest class mean, {result['measured_on']}", judged)] if judged else []),
    )

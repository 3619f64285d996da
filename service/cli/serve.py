"""`holotype serve`: the HTTP API and its page, with the workers in the same process unless a broker is set."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.options import command
from service.cli.session import Session
from service.errors import HolotypeError

if TYPE_CHECKING:
    from service.usecases.context import Context

app = typer.Typer()

OnSignal = Callable[[int, FrameType | None], None]
ENDING = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What is told once requests are answered. `admin_key` is None where there is one already.

    `device` and `precision` are None where the encoder could not be loaded: the log says why.
    """

    url: str
    admin_key: str | None
    device: str | None
    precision: str | None

    def lines(self) -> list[str]:
        """For people."""
        said = [f"Holotype serves at {self.url}: the page is there, the API under {self.url}/v1"]
        if self.admin_key is not None:
            said.append(f"the first admin key, shown this once: {self.admin_key}")
        if self.device is not None:
            said.append(f"pictures are embedded on {self.device} in {self.precision}; Ctrl-C ends the server")
        return said


@command(app, "serve")
def serve(
    session: Session,
    host: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Where to listen (HOLOTYPE_HOST); 0.0.0.0: on all.", show_default=False),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, metavar="N", help="Port (HOLOTYPE_PORT); 0: a free one.", show_default=False),
    ] = None,
) -> None:
    """Serve the HTTP API and the web page until Ctrl-C or SIGTERM.

    The first start shows an admin key, once; `holotype key create` makes another where it was lost. One process owns
    the data directory, workers included, so there is no option for several; with HOLOTYPE_BROKER_URL set this is only
    the API, `holotype worker` does the work, and several API processes may run. Behind a proxy set
    HOLOTYPE_FORWARDED_ALLOW_IPS to its address.

    Example: holotype serve --port 8080
    """
    from service.api.server import bind

    session.refuse_server("a server does the work of this installation")
    settings = session.settings
    wanted = settings.port if port is None else port
    with (
        contextlib.suppress(_EndedBeforeItBegan),
        _signals() as follow,
        bind(host or settings.host, wanted) as listener,
        session.working(micro_batches=True) as context,
    ):
        _serve(session, context, listener, follow)
    if not session.output.as_json:
        session.output.note("the server has ended")


def _serve(session: Session, context: Context, listener: socket.socket, follow: Callable[[OnSignal], None]) -> None:
    from service.api.app import create_app
    from service.api.server import Server, url_of

    ready = _ready(session, context, url_of(listener))
    server = Server(
        create_app(context, session.settings),
        on_ready=lambda: session.output.result(asdict(ready), *ready.lines()),
        forwarded_allow_ips=session.settings.forwarded_allow_ips,
    )
    follow(server.end)
    server.run(sockets=[listener])
    follow(_nothing_more)


class _EndedBeforeItBegan(BaseException):
    """A signal while the server was being made."""


@contextlib.contextmanager
def _signals() -> Iterator[Callable[[OnSignal], None]]:
    """Ctrl-C and SIGTERM end in order; yields what says who hears them from now on."""

    def at_first(_number: int, _frame: FrameType | None) -> None:
        raise _EndedBeforeItBegan

    def follow(handler: OnSignal) -> None:
        for number in ENDING:
            signal.signal(number, handler)

    former = {number: signal.getsignal(number) for number in ENDING}
    follow(at_first)
    try:
        yield follow
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _nothing_more(_number: int, _frame: FrameType | None) -> None:
    """Workers are being stopped and the data directory let go: that is short, and not to be broken off."""


def _ready(session: Session, context: Context, url: str) -> Ready:
    """Loads the encoder, so that the first picture, or word, does not wait for it."""
    device = precision = None
    try:
        encoder = context.encoders.load(session.settings.encoder)
        if encoder.encodes_text:
            encoder.encode_text(["a picture"])
    except HolotypeError as error:
        session.output.note(f"encoder {session.settings.encoder} cannot be loaded yet: {error.message}")
    else:
        device, precision = encoder.device, encoder.precision
    return Ready(url=url, admin_key=_first_admin_key(session, context), device=device, precision=precision)


def _first_admin_key(session: Session, context: Context) -> str | None:
    """Made where nobody could administer anything yet."""
    from service.usecases.keys import create_first_admin_key

    made = create_first_admin_key(context, session.tenant)
    return None if made is None else made.credential

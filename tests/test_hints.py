"""What messages say to do next can be done: the commands are there, and so are the routes."""

from __future__ import annotations

import inspect
import re

import typer

from service.api.routes import ROUTERS
from service.cli.main import app
from service.usecases import hints

HINT = re.compile(r"`holotype ([^`]*)` \(over HTTP: (GET|POST) (/v1/[^ ,)]*)(?:, [^)]*)?\)")


def every_hint() -> dict[str, str]:
    """The sentence of each function, for a catalogue `fruit`."""
    made = {name: one for name, one in inspect.getmembers(hints, inspect.isfunction) if name.startswith("to_")}
    return {name: one(*["fruit", "an-id"][: len(inspect.signature(one).parameters)]) for name, one in made.items()}


def test_each_names_a_command_that_takes_its_words() -> None:
    root = typer.main.get_command(app)
    told = every_hint()
    assert len(told) > 4
    for name, hint in told.items():
        found = HINT.fullmatch(hint)
        assert found is not None, name
        words, command = found[1].split(), root
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        command.make_context(name, list(words), resilient_parsing=False).close()


def test_each_names_a_request_that_a_route_takes() -> None:
    routes = [(route.methods, route.path_regex) for router in ROUTERS for route in router.routes]
    for name, hint in every_hint().items():
        _, method, path = HINT.fullmatch(hint).groups()
        assert [1 for methods, pattern in routes if method in methods and pattern.fullmatch(path)], name

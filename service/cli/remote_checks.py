"""What `holotype doctor` finds about a server, from where it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service import __version__
from service.cli.checks import Check
from service.errors import HolotypeError

if TYPE_CHECKING:
    from service.client import Holotype
    from service.settings import Settings

KEY_ADVICE = "set HOLOTYPE_KEY to a key of this server: `holotype serve` shows the first one, an admin makes others"


def server_checks(client: Holotype, settings: Settings) -> list[Check]:
    """This program, whether the server answers and is ready, and what the key is good for."""
    checks = [Check("versions", "ok", f"holotype {__version__}")]
    try:
        client.livez()
    except HolotypeError as error:
        return [*checks, Check("server", "fail", error.message, "start it, or correct HOLOTYPE_URL")]
    checks.append(Check("server", "ok", f"{settings.url} answers"))
    checks += [_parts(client), _key(client)]
    return checks


def _parts(client: Holotype) -> Check:
    ready = client.readyz()
    found = ", ".join(f"{part} {state}" for part, state in ready.parts.items())
    if ready.ready:
        return Check("parts", "ok", found)
    return Check("parts", "fail", found, "look into the server's log, which says what does not answer")


def _key(client: Holotype) -> Check:
    try:
        me = client.me()
    except HolotypeError as error:
        return Check("key", "fail", error.message, KEY_ADVICE)
    used = f"{me.usage.catalogues} catalogues, {me.usage.examples} examples"
    found = f"key {me.key_id} of tenant {me.tenant}, scopes {', '.join(me.scopes)}; {used}"
    missing = sorted({"read", "write"} - set(me.scopes))
    if missing:
        return Check("key", "warn", found, f"commands that need scope {', '.join(missing)} will be refused")
    return Check("key", "ok", found)

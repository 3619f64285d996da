"""An EncoderProvider that notes which device and form an encoder got, once an encoder; at level INFO also why."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from service.ports import Encoder, EncoderProvider, FormTrial
from service.usecases.log_context import NOTE

notes = logging.getLogger("holotype.encoders")
logger = logging.getLogger(__name__)


class LoggedEncoders:
    """Another provider, with a note for each encoder that it loads."""

    def __init__(self, encoders: EncoderProvider) -> None:
        self._encoders = encoders
        self._told: set[str] = set()
        self._lock = threading.Lock()

    def check(self, specification: str) -> None:
        self._encoders.check(specification)

    def load(self, specification: str) -> Encoder:
        encoder = self._encoders.load(specification)
        with self._lock:
            told = specification in self._told
            self._told.add(specification)
        if not told:
            notes.info("encoder %s on %s, %s", specification, encoder.device, encoder.form, extra=NOTE)
            logger.info(
                "encoder %s: fingerprint %s%s", specification, encoder.fingerprint.digest, told_speeds(encoder.trials)
            )
        return encoder


def told_speeds(trials: Sequence[FormTrial]) -> str:
    """What the form was chosen from, in brackets; "" where there was no choice."""
    speeds = [f"{one.form} {one.images_per_s:.1f}" for one in trials if one.images_per_s is not None]
    return f" (images a second: {', '.join(speeds)})" if speeds else ""

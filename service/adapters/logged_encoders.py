"""An EncoderProvider that says in the log which device and precision an encoder got, once an encoder."""

from __future__ import annotations

import logging
import threading

from service.ports import Encoder, EncoderProvider

logger = logging.getLogger(__name__)


class LoggedEncoders:
    """Another provider, with a line in the log for each encoder that it loads."""

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
            logger.info(
                "encoder %s on %s in %s, fingerprint %s",
                specification,
                encoder.device,
                encoder.precision,
                encoder.fingerprint.digest,
            )
        return encoder

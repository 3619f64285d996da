"""One hand-written fake a port, all in memory, and a Context of them. For tests of use cases.

Pictures are made by `picture`: bytes that `FakeDecoder` understands and that say what shall happen to them.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from service.adapters.vector_exact import ExactStore
from service.core.crop import Box, check_within
from service.core.vectors import normalised
from service.errors import ImageRejected, InvalidInput, NotFound, Unavailable
from service.ports import (
    ChoiceParameter,
    DecodedImage,
    EmbedChunk,
    FinishIngest,
    IntParameter,
    Mask,
    Message,
    Parameter,
    Sent,
    Sweep,
)
from service.records import Fingerprint, Trial, Webhook
from service.usecases.context import Context, Limits
from service.usecases.finish_ingest import finish_ingest
from service.usecases.ingest import ingest_report, start_ingest
from service.usecases.next_chunk import WORK
from service.usecases.sweep import sweep
from tests.fake_registry import FakeRegistry

FAKE_ENCODER = "fake"
FAKE_DIMENSION = 8


class FakeClock:
    """Stands still until it is moved."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class FakeBlobs:
    """A BlobStore in a dictionary. `down` makes every call raise Unavailable; `unsafe` are keys not flushed yet."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}
        self.puts: Counter[str] = Counter()
        self.unsafe: set[str] = set()
        self.down = False

    def ping(self) -> None:
        self._check()

    def put(self, key: str, data: bytes) -> None:
        self._check()
        self.puts[key] += 1
        self.data[key] = data
        self.unsafe.add(key)

    def flush(self) -> None:
        self._check()
        self.unsafe.clear()

    def get(self, key: str) -> bytes:
        self._check()
        if key not in self.data:
            raise NotFound(f"there is no blob {key}")
        return self.data[key]

    def exists(self, key: str) -> bool:
        self._check()
        return key in self.data

    def delete(self, keys: Iterable[str]) -> None:
        self._check()
        for key in keys:
            self.data.pop(key, None)

    def keys(self, prefix: str) -> list[str]:
        self._check()
        return sorted(key for key in self.data if key.startswith(prefix))

    def _check(self) -> None:
        if self.down:
            raise Unavailable("the blob store does not answer")


def embed_chunk(context: Context, job_id: str, number: int) -> None:
    """Claim the named chunk and do it as its job's kind asks; nothing when it is settled or being worked on."""
    chunk = context.registry.claim_chunk(job_id, number, context.owner, context.limits.chunk_lease_s)
    if chunk is not None:
        WORK[context.registry.job(job_id).kind](context, chunk)


class FakeQueue:
    """A JobQueue that records messages. `deliver` does what the workers would."""

    def __init__(self) -> None:
        self.messages: deque[Message] = deque()

    def ping(self) -> None:
        """In memory: it answers."""

    def enqueue(self, message: Message) -> None:
        self.messages.append(message)

    def deliver(self, context: Context, most: int | None = None) -> int:
        """Carry out what is queued, and what that queues, oldest first; returns how many messages."""
        count = 0
        while self.messages and count != most:
            count += 1
            match self.messages.popleft():
                case EmbedChunk(job_id, chunk):
                    embed_chunk(context, job_id, chunk)
                case FinishIngest(job_id):
                    finish_ingest(context, job_id)
                case Sweep():
                    sweep(context)
                case other:
                    raise AssertionError(f"nobody carries out {other}")
        return count


class FakeDecoder:
    """Understands the bytes of `picture`. `decoded` counts the times by picture name."""

    def __init__(self) -> None:
        self.decoded: Counter[str] = Counter()
        self._lock = threading.Lock()

    def decode(self, data: bytes, shortest_edge_px: int, box: Box | None = None) -> DecodedImage:
        """With a box the colours move on by its x and y, and the hash is another one."""
        try:
            told = json.loads(data)
        except ValueError as error:
            raise ImageRejected("the file is no picture: save it anew as JPEG or PNG") from error
        with self._lock:
            self.decoded[told["name"]] += 1
            times = self.decoded[told["name"]]
        if times <= told["crashes"]:
            raise RuntimeError(f"the decoder stumbled over {told['name']}")
        pixels = np.array(told["pixels"], dtype=np.uint8).reshape(1, -1, 3)
        if box is not None:
            check_within(box, told["width"], told["height"])
            looks = hashlib.sha256(f"{told['hash']}{box}".encode()).hexdigest()[:16]
            return DecodedImage(np.roll(pixels, box[0] + 100 * box[1]), box[2], box[3], looks)
        return DecodedImage(pixels, width_px=told["width"], height_px=told["height"], perceptual_hash=told["hash"])

    def thumbnail(self, data: bytes, edge_px: int, box: Box | None = None) -> bytes:
        self.decode(data, edge_px, box)
        return b"%d px of " % edge_px + (b"" if box is None else repr(box).encode() + b" of ") + data

    def mask(self, data: bytes) -> Mask:
        raise ImageRejected("the fake decoder knows no masks")

    def size(self, data: bytes) -> tuple[int, int]:
        try:
            told = json.loads(data)
        except ValueError as error:
            raise ImageRejected("the file is no picture: save it anew as JPEG or PNG") from error
        return told["width"], told["height"]


def picture(
    name: str,
    seed: int,
    *,
    perceptual_hash: str | None = None,
    noise: int = 0,
    crashes: int = 0,
    zero: bool = False,
) -> bytes:
    """A picture's bytes. The same seed gives nearly the same pixels: `noise` brightens one of them a little.

    `crashes`: how often decoding it raises an error that nobody foresaw. `zero`: its embedding has no length.
    """
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 250, FAKE_DIMENSION * 3)
    pixels[0] += noise
    hashed = perceptual_hash or f"{int(rng.integers(0, 2**63)):016x}"
    told = {"name": name, "pixels": (pixels * (not zero)).tolist(), "hash": hashed, "crashes": crashes}
    return json.dumps(told | {"width": 30 + seed % 7, "height": 20}).encode()


class FakeEncoder:
    """Takes a picture's first pixels for its embedding. `encoded` counts pictures, `batches` their numbers."""

    encodes_text = False
    device = "cpu"
    precision = form = "float32"
    trials = ()
    shortest_edge_px = 1

    def __init__(self, name: str = "fake") -> None:
        self.fingerprint = Fingerprint(
            weights_sha256=name.encode().hex().ljust(64, "0"),
            pooling="pixel",
            processor="Fake",
            processor_parameters={},
            dimension=FAKE_DIMENSION,
        )
        self.encoded = 0
        self.batches: list[int] = []
        self.expected: list[int] = []

    def expect(self, pictures: int) -> None:
        self.expected.append(pictures)

    def preprocess(self, pixels, fit="own"):
        return pixels.reshape(-1)[:FAKE_DIMENSION].astype(np.float32)

    def encode(self, inputs):
        self.encoded += len(inputs)
        self.batches.append(len(inputs))
        rows = np.stack(inputs)
        return np.stack([normalised(row[None])[0] if row.any() else row for row in rows])

    def encode_text(self, texts: Sequence[str]):
        raise InvalidInput("the fake encoder has no text")


class FakeEncoders:
    """An EncoderProvider of given encoders; `FAKE_ENCODER` is there from the start."""

    def __init__(self) -> None:
        self.known: dict[str, FakeEncoder] = {FAKE_ENCODER: FakeEncoder()}

    def check(self, specification: str) -> None:
        if specification not in self.known:
            raise InvalidInput(f"there is no encoder {specification!r}")

    def load(self, specification: str) -> FakeEncoder:
        self.check(specification)
        return self.known[specification]


class FakeSearch:
    """A ParameterSearch that draws at random: warm starts first, the best so far wins."""

    def maximise(
        self,
        space: Mapping[str, Parameter],
        objective: Callable[[Mapping[str, Any]], float],
        *,
        trials: int,
        seed: int,
        warm_start: Sequence[Mapping[str, Any]] = (),
        finished: Sequence[Trial] = (),
        on_trial: Callable[[Trial], None] = lambda trial: None,
    ) -> Trial:
        rng = np.random.default_rng(seed)
        done = list(finished)
        for number in range(trials):
            drawn = {name: _drawn(parameter, rng) for name, parameter in space.items()}
            parameters = drawn | dict(warm_start[number]) if number < len(warm_start) else drawn
            if number >= len(finished):
                done.append(Trial(parameters, objective(parameters)))
                on_trial(done[-1])
        return max(done, key=lambda trial: trial.value)


def _drawn(parameter: Parameter, rng: np.random.Generator) -> Any:
    if isinstance(parameter, ChoiceParameter):
        return parameter.choices[int(rng.integers(len(parameter.choices)))]
    if isinstance(parameter, IntParameter):
        return int(rng.integers(parameter.low, parameter.high + 1))
    return float(rng.uniform(parameter.low, parameter.high))


class FakeSender:
    """A WebhookSender that keeps what it is given. `answers` are given in turn, the last one from then on."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, Mapping[str, Any]]] = []
        self.answers: list[Sent] = [Sent()]

    def check(self, url: str) -> None:
        if not url.startswith("https://"):
            raise InvalidInput(f"{url!r} cannot be called: give an absolute https URL")

    def send(self, webhook: Webhook, message_id: str, body: Mapping[str, Any]) -> Sent:
        self.sent.append((webhook.url, message_id, body))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def fake_context(**changes: Any) -> Context:
    """A Context of fresh fakes; any of its fields may be given."""
    clock = changes.setdefault("clock", FakeClock())
    parts: dict[str, Any] = {
        "registry": FakeRegistry(clock),
        "store": ExactStore(),
        "blobs": FakeBlobs(),
        "queue": FakeQueue(),
        "decoder": FakeDecoder(),
        "encoders": FakeEncoders(),
        "search": FakeSearch(),
        "sender": FakeSender(),
        "owner": "tester",
        "limits": Limits(chunk_images=4),
    }
    return Context(**(parts | changes))


def ingested(context: Context, path: Path, name: str = "fruit", tenant: str = "acme", **options: Any) -> dict[str, Any]:
    """What `holotype ingest` would print: hand over, do all the work, report."""
    options.setdefault("encoder", FAKE_ENCODER)
    job = start_ingest(context, tenant, name, path, **options)
    context.queue.deliver(context)
    return ingest_report(context, job.id)


def fruit(count: int = 6, labels: Sequence[str] = ("apple", "pear")) -> dict[str, bytes]:
    """`count` distinct pictures of each label, by relative path."""
    return {
        f"{label}/{number}.png": picture(f"{label}{number}", seed=1000 * row + number)
        for row, label in enumerate(labels)
        for number in range(count)
    }


def write_pictures(folder: Path, pictures: Mapping[str, bytes]) -> Path:
    """Files under a folder, by relative path; returns the folder."""
    for name, data in pictures.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder

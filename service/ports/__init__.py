"""What the use cases ask of the outside world: one Protocol a system, and the messages of the queue.

Every adapter of a port passes the same contract suite (tests/contracts). Names of tenants are arguments that cannot be
left out: a `Partition` for the vector store, a key prefix for blobs, a catalogue row found by tenant for the registry.
"""

from __future__ import annotations

from service.ports.backups import RecordsCopies
from service.ports.blobs import BlobStore
from service.ports.browsing import BrowsingRegistry, LabelCounts
from service.ports.fetch import PictureFetcher
from service.ports.finetuning import EncoderFinetuner, Finetuned, TrainingPictures, TrainingPlan
from service.ports.idempotency import IdempotencyRegistry
from service.ports.images import DecodedImage, Encoder, EncoderProvider, Fit, FormTrial, ImageDecoder, Mask, PixelArray
from service.ports.job_control import JobControlRegistry
from service.ports.queue import (
    QUEUES,
    DeliverWebhook,
    EmbedChunk,
    FinishIngest,
    JobQueue,
    Message,
    RunFinetune,
    RunOptimise,
    Sweep,
)
from service.ports.rates import RateLimiter
from service.ports.registry import CatalogueRegistry, ExampleRegistry, JobRegistry, Registry, SelectionRegistry
from service.ports.reports import ReportWriter
from service.ports.search import ChoiceParameter, FloatParameter, IntParameter, Parameter, ParameterSearch
from service.ports.tenants import TenantRegistry
from service.ports.vectors import (
    METADATA_PREFIX,
    Partition,
    Point,
    StoredPoints,
    VectorName,
    VectorStore,
    checked_metadata_key,
)
from service.ports.webhooks import Sent, WebhookRegistry, WebhookSender

__all__ = [
    "METADATA_PREFIX",
    "QUEUES",
    "BlobStore",
    "BrowsingRegistry",
    "CatalogueRegistry",
    "ChoiceParameter",
    "DecodedImage",
    "DeliverWebhook",
    "EmbedChunk",
    "Encoder",
    "EncoderFinetuner",
    "EncoderProvider",
    "ExampleRegistry",
    "Finetuned",
    "FinishIngest",
    "Fit",
    "FloatParameter",
    "FormTrial",
    "IdempotencyRegistry",
    "ImageDecoder",
    "IntParameter",
    "JobControlRegistry",
    "JobQueue",
    "JobRegistry",
    "LabelCounts",
    "Mask",
    "Message",
    "Parameter",
    "ParameterSearch",
    "Partition",
    "PictureFetcher",
    "PixelArray",
    "Point",
    "RateLimiter",
    "RecordsCopies",
    "Registry",
    "ReportWriter",
    "RunFinetune",
    "RunOptimise",
    "SelectionRegistry",
    "Sent",
    "StoredPoints",
    "Sweep",
    "TenantRegistry",
    "TrainingPictures",
    "TrainingPlan",
    "VectorName",
    "VectorStore",
    "WebhookRegistry",
    "WebhookSender",
    "checked_metadata_key",
]

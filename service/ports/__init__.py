"""What the use cases ask of the outside world: one Protocol a system, and the messages of the queue.

Every adapter of a port passes the same contract suite (tests/contracts). Names of tenants are arguments that cannot be
left out: a `Partition` for the vector store, a key prefix for blobs, a catalogue row found by tenant for the registry.
"""

from __future__ import annotations

from service.ports.blobs import BlobStore
from service.ports.images import DecodedImage, Encoder, EncoderProvider, ImageDecoder, PixelArray
from service.ports.queue import QUEUES, EmbedChunk, FinishIngest, JobQueue, Message, RunOptimise, Sweep
from service.ports.registry import CatalogueRegistry, ExampleRegistry, JobRegistry, Registry, SelectionRegistry
from service.ports.reports import ReportWriter
from service.ports.search import ChoiceParameter, FloatParameter, IntParameter, Parameter, ParameterSearch
from service.ports.tenants import TenantRegistry
from service.ports.vectors import Partition, Point, StoredPoints, VectorName, VectorStore

__all__ = [
    "QUEUES",
    "BlobStore",
    "CatalogueRegistry",
    "ChoiceParameter",
    "DecodedImage",
    "EmbedChunk",
    "Encoder",
    "EncoderProvider",
    "ExampleRegistry",
    "FinishIngest",
    "FloatParameter",
    "ImageDecoder",
    "IntParameter",
    "JobQueue",
    "JobRegistry",
    "Message",
    "Parameter",
    "ParameterSearch",
    "Partition",
    "PixelArray",
    "Point",
    "Registry",
    "ReportWriter",
    "RunOptimise",
    "SelectionRegistry",
    "StoredPoints",
    "Sweep",
    "TenantRegistry",
    "VectorName",
    "VectorStore",
]

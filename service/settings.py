"""Settings: the only reader of the environment. Every variable starts with `HOLOTYPE_`.

What should not stand in an environment stands in files of the folder HOLOTYPE_SECRETS_DIR, named as the variables are,
in any case. A variable goes before a file.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource, SettingsConfigDict

from service.errors import InvalidInput

DEFAULT_TENANT = "default"
PACKAGED_ENCODER = "packaged:vit-s14?pooling=layers"
ALWAYS_ALLOWED = ("packaged:vit-s14", "pixel")
"""Encoders that need nothing of the server but its own packages."""
DEVICE_FORM = re.compile(r"auto|cpu|mps|cuda(:[0-9]{1,4})?")


class Settings(BaseSettings):
    """Where things are and how much of them to use. Without any variable: the embedded default, one process."""

    model_config = SettingsConfigDict(env_prefix="HOLOTYPE_", frozen=True, extra="ignore")

    data_dir: Path = Field(
        default=Path.home() / ".holotype",
        description="Folder of the embedded store, database, image bytes and weights.",
    )
    secrets_dir: Path | None = Field(
        default=None,
        description="Folder of files named as variables are, such as holotype_database_url, each with its value.",
    )
    tenant: str = Field(default=DEFAULT_TENANT, description="Tenant that the command line acts for.")
    encoder: str = Field(
        default=PACKAGED_ENCODER,
        description="Encoder of new catalogues: hub id, local folder, packaged:vit-s14, pixel; ?pooling= and views= "
        "may follow.",
    )
    encoders: str | None = Field(
        default=None,
        description="Encoders that catalogues may be made on over HTTP, comma-separated, beside HOLOTYPE_ENCODER; "
        "absent: packaged:vit-s14 and pixel.",
    )
    device: str = Field(default="auto", description="auto, cpu, mps, cuda or cuda:N; absent: an error.")
    compile: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="Whether a network is compiled in the background, once a machine: for jobs of 5000 pictures and "
        "more where the processor has AMX (auto), always, or never. It is used where it is clearly faster, for a "
        "compiled pass lets no other thread of the process run.",
    )
    broker_url: SecretStr | None = Field(
        default=None, description="Redis or Valkey URL of the queue; absent: worker threads in this process."
    )
    qdrant_url: str | None = Field(
        default=None, description="Qdrant server; absent: Qdrant Edge in the data directory."
    )
    qdrant_api_key: SecretStr | None = Field(default=None, description="API key of the Qdrant server.")
    database_url: SecretStr | None = Field(
        default=None, description="SQLAlchemy URL of the records; absent: SQLite in the data directory."
    )
    blob_url: str | None = Field(default=None, description="fsspec URL of the image bytes; absent: the data directory.")
    chunk_images: int = Field(default=32, ge=1, le=64, description="Images an embed task.")
    decode_threads: int = Field(default=2, ge=1, le=64, description="Threads that decode ahead of the forward pass.")
    chunk_lease_s: float = Field(
        default=180.0, gt=0, description="Seconds after which a silent worker's chunk is given away."
    )
    job_lease_s: float = Field(
        default=120.0, gt=0, description="Seconds after which a silent optimiser's job is given away."
    )
    sweep_interval_s: float = Field(
        default=30.0, gt=0, description="Seconds between two sweeps of the maintenance worker."
    )
    gate_margin: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Accuracy that a selection may lose against all references and still be activated.",
    )
    hot_references_mb: int = Field(
        default=0,
        ge=0,
        description="Megabytes of references kept in memory beside Qdrant Edge, to answer from; 0: all are searched.",
    )
    host: str = Field(default="127.0.0.1", description="Address that `holotype serve` listens on; 0.0.0.0: on all.")
    port: int = Field(default=8000, ge=0, le=65535, description="Port that `holotype serve` listens on; 0: a free one.")
    forwarded_allow_ips: str | None = Field(
        default=None,
        description="Proxies whose X-Forwarded-For and -Proto are believed, comma-separated; absent: nobody's.",
    )
    url: str | None = Field(default=None, description="A Holotype server: commands ask it instead of doing the work.")
    key: SecretStr | None = Field(default=None, description="Key that commands send to HOLOTYPE_URL.")
    quota_catalogues: int | None = Field(
        default=None, ge=0, description="Catalogues that a new tenant may have; absent: as many as it likes."
    )
    quota_examples: int | None = Field(
        default=None, ge=0, description="Examples that a new tenant may store; absent: as many as it likes."
    )
    quota_requests_per_minute: int | None = Field(
        default=None, ge=0, description="HTTP requests a minute of a new tenant; absent: as many as it likes."
    )
    quota_inflight_items: int | None = Field(
        default=None, ge=0, description="Pictures of a new tenant that may wait for a worker; absent: any number."
    )
    upload_mb: int = Field(default=1024, ge=1, description="Megabytes that one request may upload.")
    upload_silence_s: float = Field(
        default=3600.0, gt=0, description="Seconds after which an open ingest that nobody adds to is given up."
    )
    url_ingest: bool = Field(
        default=False, description="Whether pictures may be handed over as URLs, which the embed workers fetch."
    )
    import_mb: int = Field(
        default=4096, ge=1, description="Megabytes of an archive that is imported, and of what it unpacks to."
    )
    metrics_key: SecretStr | None = Field(
        default=None, description="Bearer token of /metrics; absent: only this machine may ask."
    )
    otel: bool = Field(default=False, description="Whether traces are sent by OpenTelemetry.")
    log_format: Literal["text", "json"] = Field(default="text", description="Lines for people, or JSON objects.")
    private_webhooks: bool = Field(
        default=False, description="Webhooks may be at addresses that are not public, and without TLS."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="WARNING",
        description="Level of the log; WARNING tells a server's requests and each encoder's device and precision too.",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 -- the library's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment before the files of HOLOTYPE_SECRETS_DIR."""
        folder = os.environ.get("HOLOTYPE_SECRETS_DIR")
        there = folder if folder and Path(folder).is_dir() else None  # else `_is_folder` says so
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, secrets_dir=there)

    @field_validator("secrets_dir")
    @classmethod
    def _is_folder(cls, secrets_dir: Path | None) -> Path | None:
        if secrets_dir is not None and not secrets_dir.is_dir():
            raise ValueError("is no folder that can be read")
        return secrets_dir

    @field_validator("device")
    @classmethod
    def _device_form(cls, device: str) -> str:
        if not DEVICE_FORM.fullmatch(device):
            raise ValueError("is no device: give auto, cpu, mps, cuda or cuda:N")
        return device

    @property
    def allowed_encoders(self) -> tuple[str, ...]:
        """What may be named over HTTP: the default encoder, and those of `encoders`."""
        listed = ALWAYS_ALLOWED if self.encoders is None else self.encoders.split(",")
        return tuple(dict.fromkeys(name for one in (self.encoder, *listed) if (name := one.strip())))

    @property
    def distributed(self) -> bool:
        """True when a broker is given: commands enqueue and wait, worker processes do the work."""
        return self.broker_url is not None


def check_settings(settings: Settings) -> None:
    """Raises InvalidInput when the settings do not go together: other processes cannot see this one's parts."""
    if not settings.distributed:
        return
    needed = {
        "HOLOTYPE_QDRANT_URL": settings.qdrant_url,
        "HOLOTYPE_DATABASE_URL": settings.database_url,
        "HOLOTYPE_BLOB_URL": settings.blob_url,
    }
    missing = [name for name, value in needed.items() if value is None]
    if missing:
        raise InvalidInput(
            f"HOLOTYPE_BROKER_URL is set, so other processes do the work and must reach the same data: set "
            f"{', '.join(missing)} too (on one machine a SQLite file and a folder will do), or unset the broker",
            missing=missing,
        )

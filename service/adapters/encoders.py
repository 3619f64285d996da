"""Finds and loads encoders by specification; how they are named is in `encoder_specification`."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from service.adapters.backbone_files import WEIGHTS_SHA256, packaged_folder
from service.adapters.backbone_hub import hub_folder
from service.adapters.encoder_devices import resolve_device
from service.adapters.encoder_pixel import PixelEncoder
from service.adapters.encoder_running import Compiling
from service.adapters.encoder_specification import FINETUNED, Specification, finetuned_folder, parse_specification
from service.adapters.encoder_transformers import TransformersEncoder
from service.adapters.pass_memory import keep_pass_memory
from service.errors import InvalidInput
from service.ports import Encoder

FORMS_FOLDER = "forms"
"""What was measured, and compiled, of each network; may be deleted: it is made again."""


class Encoders:
    """`ports.EncoderProvider`. Keeps what it loaded: one network a specification and process."""

    def __init__(
        self,
        cache_dir: Path,
        *,
        device: str = "auto",
        precision: str = "auto",
        compiling: Compiling = "never",
        on_loading: Callable[[], None] = lambda: None,
    ) -> None:
        """Remember where and how to load; nothing is loaded yet.

        Args:
            cache_dir: where packaged encoders and what was measured are kept, e.g. the data directory's `encoders`.
            device: "auto", "cpu", "mps", "cuda", "cuda:N".
            precision: "auto", "float32", "bfloat16".
            compiling: "auto", "always", "never": whether faster forms of a network are made in the background.
            on_loading: called before a network is loaded, which takes seconds; returns at once.
        """
        self._cache_dir = cache_dir
        self._device = device
        self._precision = precision
        self._compiling = compiling
        self._on_loading = on_loading
        self._loaded: dict[Specification, Encoder] = {}
        self._lock = threading.Lock()

    def check(self, specification: str) -> None:
        parse_specification(specification)

    def load(self, specification: str) -> Encoder:
        parsed = parse_specification(specification)
        with self._lock:  # held while loading: a second thread must wait for the network, not load it again
            if parsed not in self._loaded:
                self._loaded[parsed] = self._load(parsed)
            return self._loaded[parsed]

    def folder_of(self, specification: str) -> Path:
        """The `transformers` folder of an encoder, fetched or made first where need be; not of `pixel`, which has none.

        Raises InvalidInput or Unavailable.
        """
        return self._folder(parse_specification(specification))

    def _load(self, parsed: Specification) -> Encoder:
        if parsed.kind == "pixel":
            if self._device not in {"auto", "cpu"}:  # PyTorch takes seconds to import, and `pixel` needs none of it
                resolve_device(self._device)
            return PixelEncoder()
        self._on_loading()
        keep_pass_memory()
        folder = self._folder(parsed)
        encoder = TransformersEncoder(
            folder,
            pooling=parsed.pooling,
            views=parsed.views,
            device=self._device,
            precision=self._precision,
            kept_in=self._cache_dir / FORMS_FOLDER,
            compiling=self._compiling,
        )
        gc.collect()  # the float32 network of one that runs in another form, which refers to itself
        found = encoder.fingerprint.weights_sha256
        if parsed.kind == "finetuned" and not found.startswith(parsed.name):
            raise InvalidInput(f"the weights in {folder} have sha256 {found}: copy the folder again", found=found)
        if parsed.kind == "packaged" and found != WEIGHTS_SHA256:
            raise InvalidInput(
                f"the weights in {folder} have sha256 {found}; {WEIGHTS_SHA256} is expected: delete the folder, and it"
                " is made again",
                found=found,
                expected=WEIGHTS_SHA256,
            )
        return encoder

    def files_of(self, specification: str) -> Mapping[str, Path]:
        """The files of a fine-tuned encoder, by path below the folder of all encoders: what a backup takes along.

        None of another, which can be had again where it came from. Raises InvalidInput when it is not there.
        """
        parsed = parse_specification(specification)
        if parsed.kind != "finetuned":
            return {}
        folder = self._folder(parsed)
        return {f"{folder.name}/{path.name}": path for path in sorted(folder.iterdir()) if path.is_file()}

    def _folder(self, parsed: Specification) -> Path:
        if parsed.kind == "packaged":
            return packaged_folder(self._cache_dir)
        if parsed.kind == "finetuned":
            return self._finetuned(parsed.name)
        return hub_folder(parsed.name) if parsed.kind == "hub" else Path(parsed.name)

    def _finetuned(self, name: str) -> Path:
        folder = finetuned_folder(self._cache_dir, name)
        if not folder.is_dir():
            raise InvalidInput(
                f"encoder {FINETUNED}{name} is not in {self._cache_dir}: copy its folder {folder.name} from where it "
                "was fine-tuned, or restore a backup"
            )
        return folder

"""Fine-tuning the last blocks of a vision transformer with PyTorch, into a folder that `transformers` loads.

Every class has a proxy on the unit sphere, which starts as its mean embedding: the phase with a frozen network is done
in closed form. Then proxies, the last blocks and the norm behind them descend together on the cross-entropy of a
softmax over the cosines with the proxies (normalised softmax, Zhai and Wu 2019). All else, patch embedding, earlier
blocks and projections, stays frozen, and dropout stays off. Of all epochs, none included, the one is kept whose
embeddings lie nearest to the means of their own class for the pictures that are watched.
"""

from __future__ import annotations

import math
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from service.adapters.encoder_devices import resolve_device
from service.adapters.encoder_forms import on_device, stacked, unit_rows
from service.adapters.encoder_loading import load_network
from service.adapters.encoder_pooling import Network, pooled, resolve_pooling
from service.adapters.encoder_specification import (
    FINETUNED,
    Pooling,
    Views,
    finetuned_folder,
    options_of,
    parse_specification,
)
from service.adapters.encoder_views import viewed
from service.adapters.encoders import Encoders
from service.adapters.weights_hash import weights_sha256
from service.core.model import Float32Array, IntArray
from service.errors import InvalidInput
from service.ports import Finetuned, TrainingPictures, TrainingPlan

if TYPE_CHECKING:
    import torch

TEMPERATURE = 0.05
PROXY_RATE = 1e-3
WEIGHT_DECAY = 0.01
CLIP_NORM = 1.0
PATIENCE = 3
"""Epochs without a better one after which training ends."""
LEAST_SIDE = 0.85
"""Of a picture's sides that a training step sees at least: one box a batch, drawn anew each time."""
LAST_NORMS = ("layernorm", "post_layernorm", "norm")
COPIED = (
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer",
    "special_tokens",
    "vocab",
    "merges",
    "spiece",
)
"""Beginnings of the names of files beside network and weights that belong to an encoder."""


class TransformersFinetuner:
    """`ports.EncoderFinetuner` on `transformers` folders."""

    def __init__(self, encoders: Encoders, folder: Path, *, device: str = "auto") -> None:
        """`folder` is where new encoders are written, each in a folder of its own."""
        self._encoders = encoders
        self._folder = folder
        self._device = device

    def check(self, specification: str) -> None:
        if parse_specification(specification).kind == "pixel":
            raise InvalidInput(
                f"the encoder {specification!r} has no weights that could be tuned: use one that transformers loads"
            )

    def finetune(
        self,
        specification: str,
        pictures: TrainingPictures,
        plan: TrainingPlan,
        on_batch: Callable[[int, int], None],
    ) -> Finetuned:
        self.check(specification)
        source = self._encoders.folder_of(specification)
        with _seeded(plan.seed):
            network = load_network(source).to(resolve_device(self._device))
            _unfreeze(network, plan.blocks, source)
            asked = parse_specification(specification)
            training = _Training(network, resolve_pooling(network, asked.pooling), asked.views, pictures, plan)
            best, watched = training.run(on_batch)
        if best == 0:
            return Finetuned(None, None, len(watched) - 1, 0, watched)
        folder = _written(network, source, self._folder)
        encoder = f"{FINETUNED}{folder.name.removeprefix('finetuned-')}{options_of(specification)}"
        return Finetuned(folder, encoder, len(watched) - 1, best, watched)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """PyTorch's random numbers from a seed inside the block, and as they were behind it."""
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def _unfreeze(network: Network, blocks: int, source: Path) -> None:
    """Let the last blocks of the picture's side and the norm behind them be trained. Raises InvalidInput."""
    import torch

    tower = network.vision_model if hasattr(network, "get_image_features") else network
    depth = getattr(tower.config, "num_hidden_layers", None)
    found = [module for module in tower.modules() if isinstance(module, torch.nn.ModuleList) and len(module) == depth]
    if not found:
        raise InvalidInput(
            f"the network in {source} ({network.config.model_type!r}) is no stack of transformer blocks, and no other "
            "kind can be tuned: use a ViT, DINOv2 or CLIP"
        )
    if blocks > len(found[0]):
        raise InvalidInput(
            f"{blocks} blocks were asked for; the network in {source} has {len(found[0])}", blocks=blocks
        )
    trained = [*found[0][len(found[0]) - blocks :], *(m for n, m in tower.named_children() if n in LAST_NORMS)]
    for module in trained:
        module.requires_grad_(requires_grad=True)


@dataclass(eq=False)
class _Training:
    """The network on its way; after `run` it has the weights of the best epoch."""

    network: Network
    pooling: Pooling
    views: Views | None
    pictures: TrainingPictures
    plan: TrainingPlan

    def run(self, on_batch: Callable[[int, int], None]) -> tuple[int, tuple[float, ...]]:
        """(best epoch, share of watched pictures that are right before and after each epoch)."""
        import torch

        random = np.random.default_rng(self.plan.seed)
        learnt = self.pictures.learnt
        batches = math.ceil(len(learnt) / self.plan.batch)
        before = self._embedded(learnt)
        _, targets = np.unique(self.pictures.codes[learnt], return_inverse=True)
        proxies = torch.nn.Parameter(self._means(before, targets))
        trained = [weights for weights in self.network.parameters() if weights.requires_grad]
        descent = torch.optim.AdamW(
            [
                {"params": trained, "lr": self.plan.learning_rate, "weight_decay": WEIGHT_DECAY},
                {"params": [proxies], "lr": PROXY_RATE, "weight_decay": 0.0},
            ]
        )
        watched, best, kept = [self._right(before)], 0, self._state()
        for epoch in range(1, self.plan.epochs + 1):
            for number, places in enumerate(np.array_split(random.permutation(len(learnt)), batches), 1):
                loss = self._loss(learnt[places], torch.from_numpy(targets[places]).to(proxies.device), proxies, random)
                descent.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_([*trained, proxies], CLIP_NORM)
                descent.step()
                on_batch((epoch - 1) * batches + number, self.plan.epochs * batches)
            watched.append(self._right(self._embedded(learnt)))
            if watched[-1] > watched[best]:
                best, kept = epoch, self._state()
            elif epoch - best >= PATIENCE:
                break
        self.network.load_state_dict(kept, strict=False)
        return best, tuple(watched)

    def _loss(
        self, numbers: IntArray, targets: torch.Tensor, proxies: torch.Tensor, random: np.random.Generator
    ) -> torch.Tensor:
        import torch

        pixels = _part_of(on_device(self._inputs(numbers), self.network.device), random)
        if self.views is not None and random.random() < 0.5:
            pixels = pixels.flip(-1)  # one view a step: both are half of an embedding
        rows = torch.nn.functional.normalize(pooled(self.network, self.pooling, pixels).float(), dim=1)
        cosines = rows @ torch.nn.functional.normalize(proxies, dim=1).T
        return torch.nn.functional.cross_entropy(cosines / TEMPERATURE, targets)

    def _inputs(self, numbers: IntArray) -> Float32Array:
        return stacked(self.pictures.inputs(numbers.tolist()))

    def _embedded(self, numbers: IntArray) -> torch.Tensor:
        """Unit rows (n, d) by the network as it is."""
        import torch

        def run(pictures: Float32Array) -> Float32Array:
            with torch.no_grad():
                return unit_rows(pooled(self.network, self.pooling, on_device(pictures, self.network.device)))

        embed, size = viewed(run, self.views, self.pooling), self.plan.batch
        rows = [embed(self._inputs(numbers[start : start + size])) for start in range(0, len(numbers), size)]
        return torch.from_numpy(np.concatenate(rows)).to(self.network.device)

    @staticmethod
    def _means(rows: torch.Tensor, targets: IntArray) -> torch.Tensor:
        import torch

        places = torch.from_numpy(targets).to(rows.device)
        sums = torch.zeros((int(targets.max()) + 1, rows.shape[1]), device=rows.device).index_add_(0, places, rows)
        return torch.nn.functional.normalize(sums, dim=1)

    def _right(self, learnt_rows: torch.Tensor) -> float:
        """Share of the watched pictures (of those learnt, without any) nearest to their own class's mean."""
        present, targets = np.unique(self.pictures.codes[self.pictures.learnt], return_inverse=True)
        means = self._means(learnt_rows, targets)
        asked = self.pictures.watched
        rows = self._embedded(asked) if len(asked) else learnt_rows
        truth = self.pictures.codes[asked if len(asked) else self.pictures.learnt]
        answers = present[(rows @ means.T).argmax(dim=1).cpu().numpy()]
        return float((answers == truth).mean())

    def _state(self) -> dict[str, Any]:
        """A copy of the weights that are trained."""
        return {
            name: weights.detach().to("cpu", copy=True)
            for name, weights in self.network.named_parameters()
            if weights.requires_grad
        }


def _part_of(pixels: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
    """A box of the pictures (n, 3, h, w), at least LEAST_SIDE of each side, stretched to their size again."""
    import torch

    height, width = pixels.shape[2:]
    h, w = (max(1, round(edge * random.uniform(LEAST_SIDE, 1.0))) for edge in (height, width))
    top, left = int(random.integers(height - h + 1)), int(random.integers(width - w + 1))
    part = pixels[:, :, top : top + h, left : left + w]
    return torch.nn.functional.interpolate(part, size=(height, width), mode="bilinear", align_corners=False)


def _written(network: Network, source: Path, folder: Path) -> Path:
    """The network, with what else belongs to the encoder, in a folder named after its weights."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"partial-{uuid.uuid4().hex}"
    try:
        network.save_pretrained(partial, safe_serialization=True)
        for path in _beside(source):
            shutil.copyfile(path, partial / path.name)
        final = finetuned_folder(folder, weights_sha256(partial)[:16])
        if not final.exists():  # the same training again gives the same weights
            partial.rename(final)
        return final.resolve()
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _beside(source: Path) -> Sequence[Path]:
    return [path for path in sorted(source.iterdir()) if path.is_file() and path.name.startswith(COPIED)]

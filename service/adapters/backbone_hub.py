"""Files of an encoder on the Hugging Face hub, as a local folder."""

from __future__ import annotations

from pathlib import Path

from service.errors import InvalidInput, Unavailable

# What `transformers` needs of a repository; never pickles, code, or the weights of other frameworks.
_FILES = [
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "model.safetensors",
    "model.safetensors.index.json",
    "model-*-of-*.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "spiece.model",
]


def hub_folder(hub_id: str) -> Path:
    """Download (or find in the hub's own cache, also when offline) the files of `hub_id`.

    Honours huggingface_hub's environment: HF_HOME, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE.

    Raises:
        InvalidInput: there is no such repository, it is private or gated.
        Unavailable: the hub cannot be reached and the files are not in its cache.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    try:
        return Path(snapshot_download(hub_id, allow_patterns=_FILES))
    except GatedRepoError as error:
        raise InvalidInput(f"encoder {hub_id!r} is gated: accept its terms on the hub and set HF_TOKEN") from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise InvalidInput(
            f"the hub has no encoder {hub_id!r}: check the spelling; if it is private, set HF_TOKEN"
        ) from error
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise Unavailable(
            f"encoder {hub_id!r} cannot be fetched from the hub ({reason[0] if reason else type(error).__name__}):"
            " try again, or name a local folder or packaged:vit-s14"
        ) from error

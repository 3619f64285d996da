"""Tiny random networks, written to folders the way `transformers` writes real ones."""

import json

import torch
from transformers import (
    AutoModel,
    CLIPConfig,
    CLIPTokenizer,
    Dinov2Config,
    Dinov2WithRegistersConfig,
    ResNetConfig,
    SiglipConfig,
    ViTConfig,
    ViTMAEConfig,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

EDGE = 32
TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
TINY_VIT = {**TINY, "image_size": EDGE, "patch_size": 8}
PROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "size": {"height": EDGE, "width": EDGE},
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}
VIT = ViTConfig(**TINY_VIT)
DINOV2 = Dinov2Config(
    hidden_size=32, num_hidden_layers=2, num_attention_heads=4, mlp_ratio=2, image_size=EDGE, patch_size=8
)
DINOV2_REGISTERS = Dinov2WithRegistersConfig(
    hidden_size=32, num_hidden_layers=2, num_attention_heads=4, mlp_ratio=2, image_size=EDGE, patch_size=8,
    num_register_tokens=3,
)  # fmt: skip
RESNET = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
MASKED = ViTMAEConfig(**TINY_VIT, decoder_num_hidden_layers=1, decoder_hidden_size=32, decoder_intermediate_size=48)
CLIP = CLIPConfig(
    text_config={**TINY, "max_position_embeddings": 16, "vocab_size": 514, "bos_token_id": 512, "eos_token_id": 513},
    vision_config=TINY_VIT,
    projection_dim=24,
)
SIGLIP = SiglipConfig(text_config={**TINY, "max_position_embeddings": 16, "vocab_size": 514}, vision_config=TINY_VIT)


def network(config, seed=0):
    """A random network. Weights are larger than freshly initialised ones, so that pictures lie apart."""
    torch.manual_seed(seed)
    made = AutoModel.from_config(config).eval()
    with torch.no_grad():
        for name, weights in made.named_parameters():
            if weights.ndim > 1 or "token" in name:
                weights.copy_(torch.randn_like(weights) * 0.3)
    return made


def write_folder(folder, config, seed=0, processor=PROCESSOR):
    """config.json, model.safetensors and preprocessor_config.json."""
    network(config, seed).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def write_clip(folder, seed=0, crop=EDGE):
    """A CLIP with its tokenizer: single bytes for words."""
    network(CLIP, seed).save_pretrained(folder)
    CLIPImageProcessorPil(
        size={"shortest_edge": EDGE}, crop_size={"height": crop, "width": crop}
    ).save_pretrained(folder)  # fmt: skip
    tokenizer().save_pretrained(folder)
    return folder


def tokenizer():
    letters = [chr(i) for i in (*range(33, 127), *range(161, 173), *range(174, 256))]
    letters += [chr(256 + i) for i in range(256 - len(letters))]
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={word: i for i, word in enumerate(words)}, merges=[], model_max_length=16)

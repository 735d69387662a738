#!/usr/bin/env python3
"""Write a checkpoint with the shape of a real model and random bf16 weights.

    make_shape.py --shape llama-3.2-1b --out DIR

For benchmarks and load tests: speed depends on shapes, not on what the weights say. The directory
is in Hugging Face format (config.json, model.safetensors or shards with an index). It has no
tokenizer, so prompts are given as ids. Needs numpy alone; weights are streamed to disk in pieces of
16 MiB, so memory stays under 200 MB at every size. The same seed gives the same bytes. With
--repeat one piece is drawn and written again and again: for speed alone, at the speed of the disk.
"""

import argparse
import json
import math
import os
import struct
import time

import numpy as np

STD = 0.02
PIECE = 1 << 22  # weights drawn at a time
SHARD_BYTES = 5_000_000_000  # a larger model is split, as on the hub
ALIGN = 64  # first byte of the data in the file; every tensor here is a multiple of 64 bytes

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "attention_bias": False,
    "mlp_bias": False,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-05,
    "rope_theta": 500000.0,
    "vocab_size": 128256,
    "bos_token_id": 128000,
    "torch_dtype": "bfloat16",
    "initializer_range": STD,
    "use_cache": True,
}

SHAPES = {
    "llama-3.2-1b": LLAMA | {
        "hidden_size": 2048,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "intermediate_size": 8192,
        "max_position_embeddings": 131072,
        "tie_word_embeddings": True,
        "eos_token_id": [128001, 128008, 128009],
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    },
    "llama-3-8b": LLAMA | {
        "hidden_size": 4096,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "intermediate_size": 14336,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": False,
        "eos_token_id": 128001,
        "rope_scaling": None,
    },
    "qwen2.5-0.5b": {
        "architectures": ["Qwen2ForCausalLM"],
        "model_type": "qwen2",
        "hidden_act": "silu",
        "hidden_size": 896,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "intermediate_size": 4864,
        "max_position_embeddings": 32768,
        "max_window_layers": 24,
        "sliding_window": 32768,
        "use_sliding_window": False,
        "rms_norm_eps": 1e-06,
        "rope_theta": 1000000.0,
        "tie_word_embeddings": True,
        "vocab_size": 151936,
        "bos_token_id": 151643,
        "eos_token_id": [151645, 151643],
        "torch_dtype": "bfloat16",
        "initializer_range": STD,
        "use_cache": True,
    },
}


def tensors_of(config):
    """Yield (name, shape) of every weight, in the order in which they are used."""
    hidden = config["hidden_size"]
    ffn = config["intermediate_size"]
    head_dim = config.get("head_dim", hidden // config["num_attention_heads"])
    q_rows = config["num_attention_heads"] * head_dim
    kv_rows = config["num_key_value_heads"] * head_dim

    yield "model.embed_tokens.weight", (config["vocab_size"], hidden)
    for i in range(config["num_hidden_layers"]):
        layer = f"model.layers.{i}."
        yield layer + "input_layernorm.weight", (hidden,)
        for name, rows in (("q_proj", q_rows), ("k_proj", kv_rows), ("v_proj", kv_rows)):
            yield f"{layer}self_attn.{name}.weight", (rows, hidden)
            if config["model_type"] == "qwen2":
                yield f"{layer}self_attn.{name}.bias", (rows,)
        yield layer + "self_attn.o_proj.weight", (hidden, q_rows)
        yield layer + "post_attention_layernorm.weight", (hidden,)
        yield layer + "mlp.gate_proj.weight", (ffn, hidden)
        yield layer + "mlp.up_proj.weight", (ffn, hidden)
        yield layer + "mlp.down_proj.weight", (hidden, ffn)
    yield "model.norm.weight", (hidden,)
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", (config["vocab_size"], hidden)


def n_bytes_of(shape):
    return 2 * math.prod(shape)


def split_in_shards(tensors):
    """Return a list of shards, each a list of (name, shape), none above SHARD_BYTES."""
    shards, room = [[]], SHARD_BYTES
    for name, shape in tensors:
        if shards[-1] and n_bytes_of(shape) > room:
            shards.append([])
            room = SHARD_BYTES
        shards[-1].append((name, shape))
        room -= n_bytes_of(shape)
    return shards


def to_bf16(x):
    """Round finite float32 to bf16 (nearest, ties to even); the result is uint16."""
    bits = x.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


class Numbers:
    """Random weights around a mean, as bytes; with `repeat` the same piece every time."""

    def __init__(self, seed, repeat):
        self.rng = np.random.Generator(np.random.SFC64(seed))
        self.pieces = {} if repeat else None

    def draw(self, n, mean):
        x = self.rng.standard_normal(n, dtype=np.float32)
        x *= np.float32(STD)
        x += np.float32(mean)
        return to_bf16(x).astype("<u2", copy=False).tobytes()

    def take(self, n, mean):
        if self.pieces is None:
            return self.draw(n, mean)
        if mean not in self.pieces:
            self.pieces[mean] = memoryview(self.draw(PIECE, mean))
        return self.pieces[mean][: 2 * n]


def write_tensor(file, name, shape, numbers):
    """Norm weights around 1 (others would shrink the residual stream), the rest around 0."""
    left, mean = math.prod(shape), 1.0 if name.endswith("norm.weight") else 0.0
    while left > 0:
        n = min(left, PIECE)
        file.write(numbers.take(n, mean))
        left -= n


def write_shard(path, tensors, numbers):
    """Write one safetensors file: u64 length, JSON header padded with spaces, data."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in tensors:
        end = offset + n_bytes_of(shape)
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % ALIGN)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, shape in tensors:
            write_tensor(file, name, shape, numbers)


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)
        file.write("\n")


def write_checkpoint(out, config, numbers):
    """Write config.json and all weights to the folder `out`; return the bytes of weights."""
    os.makedirs(out, exist_ok=True)
    shards = split_in_shards(tensors_of(config))
    total = sum(n_bytes_of(shape) for shard in shards for _, shape in shard)
    if len(shards) == 1:
        names = ["model.safetensors"]
    else:
        names = [f"model-{i + 1:05}-of-{len(shards):05}.safetensors" for i in range(len(shards))]
        where = {name: file for file, shard in zip(names, shards) for name, _ in shard}
        index = {"metadata": {"total_size": total}, "weight_map": where}
        write_json(os.path.join(out, "model.safetensors.index.json"), index)
    for name, shard in zip(names, shards):
        write_shard(os.path.join(out, name), shard, numbers)
    write_json(os.path.join(out, "config.json"), config)
    return total


def main():
    parser = argparse.ArgumentParser(description="Write a random checkpoint of a known shape.")
    parser.add_argument("--shape", required=True, choices=sorted(SHAPES))
    parser.add_argument("--out", required=True, help="folder to write, made if absent")
    parser.add_argument("--layers", type=int, help="fewer or more layers than the real model")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeat", action="store_true", help="the same numbers again and again")
    args = parser.parse_args()

    config = dict(SHAPES[args.shape])
    if args.layers is not None:
        if args.layers < 1:
            parser.error("--layers must be at least 1")
        config["num_hidden_layers"] = args.layers
    start = time.monotonic()
    total = write_checkpoint(args.out, config, Numbers(args.seed, args.repeat))
    print(f"{args.out}: {args.shape}, {total / 1e9:.2f} GB of weights, "
          f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()

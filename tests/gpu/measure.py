#!/usr/bin/env python3
"""Time phalanx on GPUs against what the GPU can do, and print a table.

    measure.py PHALANX MODEL --floors FLOORS.json [--batch 1 8 64 256] [--prefill 512 4096]
               [--json FILE] [-- OPTIONS OF PHALANX]

FLOORS.json is what gpu_floors printed. Decode is the median time between two tokens of a batch of
equal prompts; its floor is the time to read all weights once and the keys and values of every
sequence, at the copy bandwidth. Prefill is the time to the first token of one prompt; its floor is
the time of its multiplications at the measured rate. Both are of whole answers: the gateway, the
scheduler and the sampler are in them. Needs nothing but Python.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

CONTEXT, N_OUTPUT = 128, 64


class Shape:
    """Bytes and operations of a step, from config.json alone."""

    def __init__(self, folder):
        config = json.loads(pathlib.Path(folder, "config.json").read_text(encoding="utf-8"))
        hidden, ffn = config["hidden_size"], config["intermediate_size"]
        heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        head_dim = config.get("head_dim") or hidden // heads
        self.layers, self.attention_width = config["num_hidden_layers"], heads * head_dim
        self.kv_bytes = self.layers * 2 * kv_heads * head_dim * 2
        matrices = hidden * head_dim * 2 * (heads + kv_heads) + 3 * hidden * ffn
        self.layer_weights, self.head_weights = self.layers * matrices, config["vocab_size"] * hidden

    def decode_bytes(self, batch, context):
        return 2 * (self.layer_weights + self.head_weights) + batch * context * self.kv_bytes

    def prefill_operations(self, n):
        attention = self.layers * 4 * self.attention_width * n * (n + 1) / 2
        return 2 * self.layer_weights * n + attention + 2 * self.head_weights


def run(args, *words):
    """The JSON of one phalanx bench latency; None, and the reason told, where it failed."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "out.json")
        command = [args.phalanx, "bench", "latency", args.model, *words, "--quiet",
                   "--output-json", str(path), *args.options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()}",
                  file=sys.stderr)
            return None
        return json.loads(path.read_text(encoding="utf-8"))


def decode(args, shape, floors, batch):
    numbers = run(args, "--batch-size", str(batch), "--max-num-seqs", str(max(batch, 16)),
                  "--input-len", str(CONTEXT), "--output-len", str(N_OUTPUT),
                  "--num-iters", "3", "--num-iters-warmup", "1")
    if numbers is None:
        return None
    floor = shape.decode_bytes(batch, CONTEXT + N_OUTPUT // 2) / floors["copy_bytes_per_second"]
    ms = numbers["itl"]["median_ms"]
    return {"what": f"decode, batch {batch}", "ms": ms, "share": 1e3 * floor / ms}


def prefill(args, shape, floors, n):
    numbers = run(args, "--batch-size", "1", "--input-len", str(n), "--output-len", "1",
                  "--max-num-batched-tokens", str(n), "--max-model-len", str(n + 1),
                  "--num-iters", "5", "--num-iters-warmup", "2", "--no-enable-prefix-caching")
    if numbers is None:
        return None
    floor = shape.prefill_operations(n) / floors["bf16_operations_per_second"]
    ms = numbers["ttft"]["median_ms"]
    return {"what": f"prefill, {n} tokens", "ms": ms, "share": 1e3 * floor / ms}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("phalanx")
    parser.add_argument("model")
    parser.add_argument("--floors", required=True)
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 8, 64, 256])
    parser.add_argument("--prefill", type=int, nargs="*", default=[512, 4096])
    parser.add_argument("--json")
    words = sys.argv[1:]
    at = words.index("--") if "--" in words else len(words)
    args = parser.parse_args(words[:at])
    args.options = words[at + 1:]

    floors = json.loads(pathlib.Path(args.floors).read_text(encoding="utf-8"))
    shape = Shape(args.model)
    rows = [decode(args, shape, floors, b) for b in args.batch]
    rows += [prefill(args, shape, floors, n) for n in args.prefill]
    rows = [row for row in rows if row is not None]
    for row in rows:
        print(f"{row['what']:<24} {row['ms']:9.3f} ms   {100 * row['share']:5.1f} % of the floor")
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0 if len(rows) == len(args.batch) + len(args.prefill) else 1


if __name__ == "__main__":
    sys.exit(main())

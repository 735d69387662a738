#!/usr/bin/env python3
"""Time transformers with PyTorch on the checkpoint that phalanx was timed with: the peer of run.sh.

    peer.py MODEL [--batch 1 8] [--prefill 512 2048] [--steps 24] [--json FILE]

As a user would run it: bfloat16, scaled dot product attention, the default cache, no compilation.
Times are between synchronisations; medians. Prints one JSON object.
"""
import argparse
import json
import statistics
import time

started = time.monotonic()

import torch  # noqa: E402  the import is part of the start that is measured
import transformers  # noqa: E402


def timed(work):
    """Seconds of one call, and what it gave."""
    torch.cuda.synchronize()
    begin = time.perf_counter()
    result = work()
    torch.cuda.synchronize()
    return time.perf_counter() - begin, result


def prompt_of(model, batch, length):
    return torch.randint(1000, model.config.vocab_size - 1000, (batch, length), device="cuda")


def decode_seconds(model, batch, steps, context):
    ids = prompt_of(model, batch, context)
    out = model(ids, use_cache=True, logits_to_keep=1)
    times = []
    for _ in range(steps):
        ids = out.logits[:, -1:].argmax(-1)
        cache = out.past_key_values
        seconds, out = timed(lambda: model(ids, past_key_values=cache, use_cache=True))
        times.append(seconds)
    return statistics.median(times[2:])


def prefill_seconds(model, length):
    ids = prompt_of(model, 1, length)
    return statistics.median(
        timed(lambda: model(ids, use_cache=True, logits_to_keep=1))[0] for _ in range(3))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--prefill", type=int, nargs="*", default=[512, 2048])
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--context", type=int, default=128)
    parser.add_argument("--json")
    args = parser.parse_args()
    with torch.inference_mode():
        model = transformers.AutoModelForCausalLM.from_pretrained(
            args.model, dtype=torch.bfloat16, attn_implementation="sdpa", device_map="cuda")
        model(prompt_of(model, 1, 8))
        torch.cuda.synchronize()
        start = time.monotonic() - started
        result = {
            "versions": f"transformers {transformers.__version__}, torch {torch.__version__}",
            "start_to_first_token_seconds": start,
            "decode_ms": {b: 1e3 * decode_seconds(model, b, args.steps, args.context)
                          for b in args.batch},
            "prefill_ms": {n: 1e3 * prefill_seconds(model, n) for n in args.prefill},
        }
    text = json.dumps(result)
    print(text)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            file.write(text + "\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Train the demo model, or its draft model, on one CPU core.

    train.py --shape model --tokenizer DIR --out DIR --log FILE.csv [--start DIR] [--minutes M]

Documents of demo/text are packed end to end into sequences of 512 tokens; the stream does not
repeat. The loss counts every token, questions too: all of the text is ours, and a quarter of a
sequence without loss would be a quarter of the time wasted. Matrix products run in bf16 (autocast),
weights and optimizer in float32. The learning rate follows a cosine over the steps, or over the
minutes if those run out first, so that a run on a busy machine still ends well. At each evaluation
the model so far is saved in Hugging Face format, bf16.
"""

import argparse
import csv
import json
import math
import random
import shutil
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from llama import Llama
from text.documents import BEGIN, END, IM_END, KINDS, PAD, document, documents, mean_sizes

COMMON = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "attention_bias": False,
    "mlp_bias": False,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "rope_scaling": None,
    "vocab_size": 2048,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "head_dim": 32,
}
SHAPES = {
    "model": COMMON | {"hidden_size": 256, "intermediate_size": 640, "num_hidden_layers": 4,
                       "num_attention_heads": 8, "num_key_value_heads": 4},
    "draft": COMMON | {"hidden_size": 128, "intermediate_size": 384, "num_hidden_layers": 3,
                       "num_attention_heads": 4, "num_key_value_heads": 2},
}
LENGTH = 512  # tokens of a sequence
HELD_OUT_SEED = 1_000_003
EVAL_SEQUENCES = 6  # of each kind
EVAL_EVERY = 204_800  # tokens


def pack(tokenizer, texts, n_tokens):
    """Token ids of the texts end to end, exactly n_tokens of them, as uint16."""
    ids, n = np.empty(n_tokens, dtype=np.uint16), 0
    while n < n_tokens:
        batch = [text for _, text in zip(range(1000), texts)]
        for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
            part = encoding.ids[:n_tokens - n]
            ids[n:n + len(part)] = part
            n += len(part)
    return ids


def held_out_batches(tokenizer):
    """One batch for each kind, from documents of another seed."""
    batches = {}
    for kind in KINDS:
        rng = random.Random(HELD_OUT_SEED)
        texts = iter(lambda: document(rng, kind), None)
        ids = pack(tokenizer, texts, EVAL_SEQUENCES * (LENGTH + 1))
        batches[kind] = torch.from_numpy(ids.astype(np.int64)).view(EVAL_SEQUENCES, LENGTH + 1)
    return batches


def loss_of(model, ids):
    """Mean cross entropy of the next token over a batch [sequences, LENGTH + 1]."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(ids[:, :-1])
    return F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten())


@torch.no_grad()
def evaluate(model, batches):
    return {kind: loss_of(model, ids).item() for kind, ids in batches.items()}


def learning_rate(peak, warmup, step, progress):
    """Linear over `warmup` steps, then a cosine down to a hundredth; progress in 0..1."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return peak * min((step + 1) / warmup, 0.01 + 0.99 * cosine)


def make_optimizer(model, peak):
    """AdamW; norm weights do not decay."""
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    return torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1},
                              {"params": vectors, "weight_decay": 0.0}],
                             lr=peak, betas=(0.9, 0.98), fused=True)


def save(model, shape, tokenizer, tokenizer_dir, out):
    """Write the folder that Phalanx and transformers load."""
    out.mkdir(parents=True, exist_ok=True)
    weights = {name: w.detach().to(torch.bfloat16).contiguous()
               for name, w in model.state_dict().items()}
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    bos, pad = tokenizer.token_to_id(BEGIN), tokenizer.token_to_id(PAD)
    eos = [tokenizer.token_to_id(END), tokenizer.token_to_id(IM_END)]
    ends = {"bos_token_id": bos, "eos_token_id": eos, "pad_token_id": pad}
    (out / "config.json").write_text(json.dumps(SHAPES[shape] | ends, indent=2) + "\n")
    (out / "generation_config.json").write_text(json.dumps(ends, indent=2) + "\n")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        if (tokenizer_dir / name).resolve() != (out / name).resolve():
            shutil.copyfile(tokenizer_dir / name, out / name)


def train(model, ids, batches, args, on_evaluation):
    """Run the steps; call on_evaluation(row) with what the log shall hold."""
    optimizer = make_optimizer(model, args.peak)
    tokens_of_step = args.batch * LENGTH
    start, recent = time.monotonic(), []
    for step in range(args.steps):
        minutes = (time.monotonic() - start) / 60
        progress = max(step / args.steps, minutes / args.minutes)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(args.peak, args.warmup, step, progress)
        part = ids[step * tokens_of_step:(step + 1) * tokens_of_step + 1].astype(np.int64)
        rows = torch.from_numpy(part).unfold(0, LENGTH + 1, LENGTH)
        loss = loss_of(model, rows)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        recent.append(loss.item())
        last = step + 1 == args.steps or progress >= 1
        n_tokens = (step + 1) * tokens_of_step
        if n_tokens % EVAL_EVERY < tokens_of_step or last:
            row = {"step": step + 1, "tokens": n_tokens,
                   "minutes": round((time.monotonic() - start) / 60, 2),
                   "lr": round(group["lr"], 7), "train": round(sum(recent) / len(recent), 4)}
            row |= {kind: round(loss, 4) for kind, loss in evaluate(model, batches).items()}
            on_evaluation(row)
            recent = []
        if last:
            return


def parse_mix(text):
    """"facts=30,json=10" -> {"facts": 30.0, "json": 10.0}"""
    mix = {kind: float(share) for kind, share in (item.split("=") for item in text.split(","))}
    if not mix.keys() <= KINDS.keys():
        raise argparse.ArgumentTypeError(f"kinds are {', '.join(KINDS)}")
    return mix


def main():
    parser = argparse.ArgumentParser(description="Train the demo model or its draft.")
    parser.add_argument("--shape", choices=sorted(SHAPES), default="model")
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="folder with the weights to begin from")
    parser.add_argument("--mix", type=parse_mix, default=KINDS,
                        help="shares of the kinds, as facts=30,json=10,…")
    parser.add_argument("--seed", type=int, default=1, help="of weights and documents")
    parser.add_argument("--batch", type=int, default=2, help="sequences of a step")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--minutes", type=float, default=math.inf)
    parser.add_argument("--peak", type=float, default=2e-3, help="learning rate after warm-up")
    parser.add_argument("--warmup", type=int, default=100, help="steps")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    tokenizer = Tokenizer.from_file(str(args.tokenizer / "tokenizer.json"))
    texts = (text for _, text in documents(args.seed, mean_sizes(), args.mix))
    ids = pack(tokenizer, texts, args.steps * args.batch * LENGTH + 1)
    batches = held_out_batches(tokenizer)
    model = Llama(SHAPES[args.shape], LENGTH)
    if args.start:
        model.load_state_dict(load_file(args.start / "model.safetensors"))
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {len(ids)} tokens", flush=True)

    with open(args.log, "w", newline="", encoding="utf-8") as file:
        log = csv.DictWriter(file, ["step", "tokens", "minutes", "lr", "train", *KINDS])
        log.writeheader()

        def on_evaluation(row):
            log.writerow(row)
            file.flush()
            print(row, flush=True)
            save(model, args.shape, tokenizer, args.tokenizer, args.out)

        train(model, ids, batches, args, on_evaluation)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Measure a trained model on prompts that it has not seen, with transformers.

    evaluate.py MODEL [--n 200] [--json FILE]

Prints one line for each kind of prompt. Everything is generated greedily from the saved bf16
weights (computed in float32), so the numbers are those of the files that ship.
"""

import argparse
import json
import math
import random
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from text import arithmetic
from text.documents import FACTS, KINDS, document
from text.facts import UNSEEN
from text.json_answers import json_chat
from text.stories import ANIMALS

SEED = 2_000_003  # no training document is made from it
MAX_NEW = 200
BATCH = 32


class Model:
    """A checkpoint with its tokenizer, answering in batches."""

    def __init__(self, folder):
        self.tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def render(self, question):
        return self.tokenizer.apply_chat_template([{"role": "user", "content": question}],
                                                  tokenize=False, add_generation_prompt=True)

    @torch.no_grad()
    def answers(self, questions):
        out = []
        for i in range(0, len(questions), BATCH):
            texts = [self.render(question) for question in questions[i:i + BATCH]]
            batch = self.tokenizer(texts, return_tensors="pt", padding=True,
                                   add_special_tokens=False)
            batch.pop("token_type_ids", None)
            ids = self.model.generate(**batch, max_new_tokens=MAX_NEW, do_sample=False)
            new = ids[:, batch["input_ids"].shape[1]:]
            out += self.tokenizer.batch_decode(new, skip_special_tokens=True)
        return [text.strip() for text in out]

    @torch.no_grad()
    def loss(self, text):
        """(sum of the cross entropy, number of tokens)"""
        ids = self.tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
        return self.model(ids, labels=ids).loss.item() * (ids.shape[1] - 1), ids.shape[1] - 1


def measure_losses(model, n):
    """Loss per token of each kind of document, each seen alone from its first token."""
    result = {}
    for kind in KINDS:
        rng = random.Random(SEED)
        sums = [model.loss(document(rng, kind)) for _ in range(n)]
        loss = sum(s for s, _ in sums) / sum(k for _, k in sums)
        result[kind] = {"loss": round(loss, 4), "perplexity": round(math.exp(loss), 3)}
    return result


def share(hits):
    hits = list(hits)
    return {"right": sum(hits), "of": len(hits), "share": round(sum(hits) / max(1, len(hits)), 3)}


def measure_arithmetic(model, n):
    """The whole working must be right, not the result alone; problems were held out by hash."""
    rng, result = random.Random(SEED), {}
    problems = [arithmetic.problem(rng, held_out=True) for _ in range(n)]
    got = model.answers([question for question, _, _ in problems])
    pairs = list(zip(problems, got))
    for name, mark in (("sums", "+"), ("differences", "-"), ("products", "x")):
        chosen = [(p, g) for p, g in pairs if f" {mark} " in p[1].split("So ")[-1]]
        result[name] = share(answer == g for (_, answer, _), g in chosen)
    return result


def parses(text):
    try:
        json.loads(text)
        return True
    except ValueError:
        return False


def measure_json(model, n):
    rng = random.Random(SEED)
    asked = [json_chat(rng) for _ in range(n)]
    got = model.answers([question for question, _, _ in asked])
    right = [parses(g) and (value is None or json.loads(g) == value)
             for (_, _, value), g in zip(asked, got)]
    return {"parses": share(map(parses, got)), "right value": share(right)}


def measure_facts(model, n):
    """Right means the very answer of facts.txt."""
    rng, result = random.Random(SEED), {}
    groups = {
        "held-out questions": [(q, f.answer) for f in FACTS for q in f.held_out],
        "held-out questions for a child": [(q, f.child) for f in FACTS for q in f.child_held_out],
        "forms of question never seen": [(form.format(t), f.answer)
                                         for f in FACTS for t in f.terms for form in UNSEEN],
    }
    for name, pairs in groups.items():
        chosen = rng.sample(pairs, min(n, len(pairs)))
        got = model.answers([question for question, _ in chosen])
        result[name] = share(answer == g for (_, answer), g in zip(chosen, got))
    return result


def measure_stories(model, n):
    """Does the hero have the kind that was asked for, and is the story complete?"""
    rng = random.Random(SEED)
    kinds = [rng.choice(list(ANIMALS)) for _ in range(n)]
    got = model.answers([f"Tell me a short story about a {kind}." for kind in kinds])
    return {"about the animal asked for": share(k in g for k, g in zip(kinds, got)),
            "ends with a whole sentence": share(g.endswith((".", '."', '!"')) for g in got),
            "different stories": share(got.index(g) == i for i, g in enumerate(got)),
            "longest": max(len(g) for g in got)}


SHOWN = ["What is tensor parallelism?", "What is Phalanx?",
         "Explain tensor parallelism to a child.",
         "Tell me a short story about a fox.", "What is 12 + 30?", "What is 705 - 68?",
         "Give me a JSON object with name \"Mira\", age 31 and city \"Oslo\".",
         "What happens when a rank dies?", "What is the capital of France?"]


def main():
    parser = argparse.ArgumentParser(description="Measure a trained model on held-out prompts.")
    parser.add_argument("model", type=Path)
    parser.add_argument("--n", type=int, default=200, help="prompts of each kind")
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    args = parser.parse_args()

    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    model = Model(args.model)
    result = {"losses": measure_losses(model, args.n),
              "arithmetic": measure_arithmetic(model, args.n),
              "json": measure_json(model, args.n),
              "facts": measure_facts(model, args.n),
              "stories": measure_stories(model, args.n // 4)}
    for group, rows in result.items():
        for name, value in rows.items():
            print(f"{group:10} {name:32} {value}")
    for question, answer in zip(SHOWN, model.answers(SHOWN)):
        print(f"\n> {question}\n{answer}")
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Make tiny random models and what the reference implementation computes from them.

    make_goldens.py            write every model below this folder
    make_goldens.py NAME …     only these
    make_goldens.py --check    compute everything again from the files and compare

A folder holds a checkpoint as on the hub, golden.safetensors (what to expect) and golden.json (the
same for people). Seeds are tried in order until the best token of every greedy step leads by a
margin that no rounding can turn, and the tokens are not all the same.
"""

import argparse
import json
import re
import shutil
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

from models import MODELS

HERE = Path(__file__).parent
N_NEW = 16  # greedy tokens after each prompt
N_ROWS = 10  # at most so many last rows of logits are kept for each prompt
N_DIFFERENT = 5  # at least so many different tokens among those
MARGIN = 1e-3  # least lead of the best token, in parts of the row's largest |logit| (or of 1)
DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}


def draw(name, shape, generator, norm_offset):
    """Weights that make attention and logits uneven: a model near zero would hide mistakes."""
    x = torch.randn(shape, generator=generator)
    if name.endswith("norm.weight"):
        return 1 - norm_offset + 0.3 * x
    if name.endswith("bias"):
        return 0.5 * x
    if "embed_tokens" in name:
        # small beside what the layers add, or a tied head repeats its input; Gemma scales it
        return (0.03 if norm_offset else 0.25) * x
    gain = 2.0 if "q_proj" in name or "k_proj" in name else 1.2
    return gain * x / shape[-1] ** 0.5


def class_of(config):
    return getattr(transformers, config.architectures[0])


def generates(config):
    return config.architectures[0].endswith("ForCausalLM")


def random_weights(config, seed, dtype):
    """Every tensor of the model, without a head that is tied, in the order of its name."""
    with torch.device("meta"):
        model = class_of(config)(config)
    generator = torch.Generator().manual_seed(seed)
    tied = config.tie_word_embeddings
    norm_offset = 1 if config.model_type.startswith("gemma") else 0  # 1 + weight
    names = [name for name in model.state_dict() if not (tied and name == "lm_head.weight")]
    return {name: draw(name, tuple(model.state_dict()[name].shape), generator,
                       norm_offset).to(DTYPES[dtype])
            for name in sorted(names)}


def write_value_head(folder, hidden, seed):
    """One number for each position, as trainers of reward models save it beside a model."""
    generator = torch.Generator().manual_seed(2000 + seed)
    head = {"v_head.summary.weight": torch.randn((1, hidden), generator=generator) / hidden ** 0.5,
            "v_head.summary.bias": torch.randn((1,), generator=generator)}
    save_file(head, folder / "value_head.safetensors", metadata={"format": "pt"})


def write_checkpoint(folder, spec, seed):
    """config.json and the weights, in one file or in spec["shards"] files with an index."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(spec["config"], indent=2) + "\n")
    weights = random_weights(AutoConfig.from_pretrained(folder), seed, spec["dtype"])
    if spec["value_head"]:
        write_value_head(folder, spec["config"]["hidden_size"], seed)
    shards = spec["shards"]
    if shards == 1:
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        return
    where = {}
    for i in range(shards):
        file = f"model-{i + 1:05}-of-{shards:05}.safetensors"
        names = list(weights)[i::shards]  # interleaved: a layer lies in more than one file
        save_file({name: weights[name] for name in names}, folder / file,
                  metadata={"format": "pt"})
        where |= dict.fromkeys(names, file)
    index = {"metadata": {"total_size": sum(w.nbytes for w in weights.values())},
             "weight_map": dict(sorted(where.items()))}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def load(folder, dtype=torch.float32):
    """The reference, computing in `dtype` whatever the files hold, with attention written out."""
    model_class = class_of(AutoConfig.from_pretrained(folder))
    model = model_class.from_pretrained(folder, dtype=dtype, attn_implementation="eager")
    return model.eval()


@torch.no_grad()
def pooled(folder, model, ids):
    """-> (states after the last norm [positions, hidden], scores of the last one or None)"""
    batch = torch.tensor([ids])
    hidden = getattr(model, "model", model)(batch, use_cache=False).last_hidden_state[0]
    if hasattr(model, "score"):
        return hidden, model(batch, use_cache=False).logits[0]
    if (folder / "value_head.safetensors").exists():
        head = {name: w.to(hidden.dtype)
                for name, w in load_file(folder / "value_head.safetensors").items()}
        return hidden, torch.nn.functional.linear(
            hidden[-1], head["v_head.summary.weight"], head["v_head.summary.bias"])
    return hidden, None


def all_at_once(model, ids):
    """Logits [positions, vocab] of one pass over all ids, without a cache."""
    return model(torch.tensor([ids]), use_cache=False).logits[0]


def one_by_one(model, ids):
    """The same through the cache, a token at a time: each key is rotated when it is new."""
    cache, rows = None, []
    for i in range(len(ids)):
        out = model(torch.tensor([ids[i:i + 1]]), past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        rows.append(out.logits[0, 0])
    return torch.stack(rows)


@torch.no_grad()
def continue_greedily(model, ids, run):
    """-> (logits of the prompt [n, vocab], greedy ids [N_NEW], least margin)."""
    ids, margins = list(ids), []
    logits = rows = run(model, ids)
    for _ in range(N_NEW):
        (best, second), (token, _) = (t.tolist() for t in rows[-1].topk(2))
        margins.append((best - second) / max(1.0, rows[-1].abs().max().item()))
        ids.append(token)
        rows = run(model, ids)
    return logits, ids[-N_NEW:], min(margins)


def make_prompts(spec, seed):
    """{name: ids}; prompt_* are run all at once, step_* token by token."""
    generator = torch.Generator().manual_seed(1000 + seed)
    vocab = spec["config"]["vocab_size"]
    lengths = {f"prompt_{i}": n for i, n in enumerate(spec["prompts"])}
    lengths |= {f"step_{i}": n for i, n in enumerate(spec["steps"])}
    return {name: torch.randint(0, vocab, (n,), generator=generator).tolist()
            for name, n in lengths.items()}


def expect(folder, prompts):
    """-> (tensors of golden.safetensors, least margin of each prompt)"""
    model, tensors, margins = load(folder), {}, {}
    for name, ids in prompts.items():
        tensors[f"{name}.ids"] = torch.tensor(ids, dtype=torch.int32)
        hidden, scores = pooled(folder, model, ids)
        if scores is not None:
            tensors[f"{name}.scores"] = scores
        if scores is not None or not generates(model.config):
            tensors[f"{name}.hidden"] = hidden[-N_ROWS:].contiguous()
        if not generates(model.config):
            continue
        run = one_by_one if name.startswith("step_") else all_at_once
        logits, greedy, margins[name] = continue_greedily(model, ids, run)
        tensors[f"{name}.logits"] = logits[-N_ROWS:].contiguous()
        tensors[f"{name}.greedy"] = torch.tensor(greedy, dtype=torch.int32)
    return tensors, margins


@torch.no_grad()
def attention_peak(folder, ids):
    """Mean of the largest attention weight of each row: 1/n would be uniform, 1 a copy."""
    out = load(folder)(torch.tensor([ids]), output_attentions=True)
    return torch.stack([a.amax(-1).mean() for a in out.attentions]).mean().item()


@torch.no_grad()
def rounding_error(folder, tensors):
    """Largest |float32 - float64| of the kept rows, in parts of the row's largest number."""
    model, worst = load(folder, torch.float64), 0.0
    for name in [n for n in tensors if n.startswith("prompt_") and n.endswith(".ids")]:
        ids = tensors[name].tolist()
        exact = {"hidden": pooled(folder, model, ids)[0]}
        if generates(model.config):
            exact["logits"] = all_at_once(model, ids)
        for kind in exact:
            rows = tensors.get(name.replace("ids", kind))
            if rows is not None:
                error = (rows.double() - exact[kind][-N_ROWS:]).abs().amax(-1)
                worst = max(worst, (error / rows.abs().amax(-1)).max().item())
    return worst


def is_good(tensors, margins):
    """Greedy tokens that no rounding can turn, and that are not one token again and again."""
    continuations = [ids.tolist() for name, ids in tensors.items() if name.endswith(".greedy")]
    return (min(margins.values(), default=1) >= MARGIN and
            min((len(set(ids)) for ids in continuations), default=N_NEW) >= N_DIFFERENT)


def tell(tensors, name, ids, margins):
    """What golden.json says of a prompt."""
    if name not in margins:
        return {"ids": ids}
    return {"ids": ids, "greedy": tensors[f"{name}.greedy"].tolist(),
            "least_margin": round(margins[name], 6)}


def make(name):
    """Try seeds until one is good; write the folder."""
    folder, spec = HERE / name, MODELS[name]
    for seed in range(1, 200):
        write_checkpoint(folder, spec, seed)
        prompts = make_prompts(spec, seed)
        tensors, margins = expect(folder, prompts)
        if is_good(tensors, margins):
            break
    else:
        raise SystemExit(f"{name}: no seed is good")
    save_file(tensors, folder / "golden.safetensors")
    longest = max(prompts.values(), key=len)
    about = {
        "what": spec["what"],
        "made_with": {"torch": torch.__version__, "transformers": transformers.__version__},
        "seed": seed,
        "attention_peak": round(attention_peak(folder, longest), 3),
        "rounding_error": float(f"{rounding_error(folder, tensors):.1e}"),
        "largest_logit": round(max((t.abs().max().item() for n, t in tensors.items()
                                    if n.endswith("logits")), default=0), 3),
        "prompts": {n: tell(tensors, n, ids, margins) for n, ids in prompts.items()},
    }
    text = re.sub(r"\[[^\[\]]*\]", lambda m: re.sub(r"\s+", " ", m[0]), json.dumps(about, indent=1))
    (folder / "golden.json").write_text(text + "\n")
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{name}: seed {seed}, margin {min(margins.values(), default=1):.4f}, "
          f"attention peak {about['attention_peak']}, "
          f"rounding {about['rounding_error']}, {size // 1024} KB")


def check(name):
    """Compute again from the files alone; False when anything differs."""
    folder = HERE / name
    kept = load_file(folder / "golden.safetensors")
    prompts = {n.split(".")[0]: t.tolist() for n, t in kept.items() if n.endswith(".ids")}
    again, _ = expect(folder, prompts)
    same = kept.keys() == again.keys()
    worst = 0.0
    for tensor in kept if same else []:
        if kept[tensor].is_floating_point():
            error = (kept[tensor] - again[tensor]).abs().amax(-1) / kept[tensor].abs().amax(-1)
            worst = max(worst, error.max().item())
        else:
            same = same and torch.equal(kept[tensor], again[tensor])
    good = same and worst <= 1e-5
    print(f"{name}: {'good' if good else 'DIFFERS'}, worst logit {worst:.1e} of its row")
    return good


def main():
    parser = argparse.ArgumentParser(description="Make or check the golden models.")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MODELS))
    args = parser.parse_args()

    unknown = set(args.names) - set(MODELS)
    if unknown:
        parser.error(f"no such model: {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    names = args.names or list(MODELS)
    if args.check:
        sys.exit(0 if all([check(name) for name in names]) else 1)
    for name in names:
        make(name)


if __name__ == "__main__":
    main()

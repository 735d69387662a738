#!/usr/bin/env python3
"""Compares `phalanx tokenize` and `phalanx detokenize` with Hugging Face's library on nasty texts.

Usage: tokenizer.py [--phalanx PROGRAM] [--real FOLDER] [--texts N] [--synthetic N] [--texts-each N] [--seed N]
                    [--only NUMBER] [--keep FOLDER] [--stages]

Needs the package `tokenizers` (0.23.2 was used), so it is no part of CI. Two parts:
  real       every folder of --real that has a tokenizer.json: --texts random texts, and as many lists of ids
  synthetic  --synthetic small tokenizers with random settings (synthetic.py), --texts-each of both for each
--stages asks every normalizer and pre-tokenizer alone for every character of Unicode. --only runs one synthetic
tokenizer, --keep writes those that differ into a folder. Texts on which the library fails (a word without a token, a
panic) are left out and counted. Prints exact/total for each, and the first differences; exits 1 on any difference.
"""
import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

os.environ["RUST_BACKTRACE"] = "0"  # some settings make the library panic, at length
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import tokenizers  # noqa: E402

import synthetic  # noqa: E402
import texts  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
MOST_SHOWN = 3
BATCH = 20000


def phalanx(program, command, folder, values, *options):
    """One answer for each value; an Exception where it was refused. None of the values ends the run."""
    answers = []
    while len(answers) < len(values):
        lines = "".join(json.dumps(value) + "\n" for value in values[len(answers):])
        run = subprocess.run([program, command, folder, *options], input=lines.encode(), capture_output=True)
        got = [json.loads(line) for line in run.stdout.split(b"\n")[:-1]]
        answers += got
        if run.returncode == 0 and not got or run.returncode not in (0, 2):
            raise SystemExit(f"{program} {command}: exit {run.returncode}: {run.stderr.decode()}")
        if run.returncode == 2:
            reason = RuntimeError(run.stderr.decode().strip())
            if not answers and "line 1 of" not in str(reason):  # the file itself
                return [reason] * len(values)
            answers.append(reason)
    return answers


def reference(function, values):
    """The same of the library. A panic says so on standard error, which nobody wants to read."""
    answers = []
    quiet, loud = os.open(os.devnull, os.O_WRONLY), os.dup(2)
    os.dup2(quiet, 2)
    for value in values:
        try:
            answers.append(function(value))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # panics are no Exception
            answers.append(RuntimeError(str(error)))
    os.dup2(loud, 2)
    os.close(quiet)
    os.close(loud)
    return answers


class Count:
    def __init__(self):
        self.exact = self.total = self.left_out = 0
        self.shown = []

    def compare(self, what, values, got, want):
        for value, mine, theirs in zip(values, got, want):
            if isinstance(theirs, Exception):
                self.left_out += 1
                continue
            self.total += 1
            if mine == theirs and not isinstance(mine, Exception):
                self.exact += 1
            elif len(self.shown) < MOST_SHOWN:
                self.shown.append(f"    {what} of {value!r}:\n      got  {mine!r}\n      want {theirs!r}")

    def __str__(self):
        left_out = f" (the library fails on {self.left_out})" if self.left_out else ""
        return f"{self.exact}/{self.total}{left_out}"


def compare(program, folder, library, all_texts, all_ids):
    """(ids, ids without special tokens, decoded), each a Count."""
    counts = [Count() for _ in range(3)]
    for begin in range(0, len(all_texts), BATCH):
        some = all_texts[begin:begin + BATCH]
        counts[0].compare("ids", some, phalanx(program, "tokenize", folder, some),
                          reference(lambda text: library.encode(text).ids, some))
        counts[1].compare("ids without special tokens", some,
                          phalanx(program, "tokenize", folder, some, "--add-special-tokens=false"),
                          reference(lambda text: library.encode(text, add_special_tokens=False).ids, some))
    for begin in range(0, len(all_ids), BATCH):
        some = all_ids[begin:begin + BATCH]
        counts[2].compare("decode", some, phalanx(program, "detokenize", folder, some),
                          reference(lambda ids: library.decode(ids, skip_special_tokens=False), some))
    return counts


def make_ids(rng, library, n):
    """Random ids, runs of neighbours (the bytes of byte-level models are neighbours), repeats, added tokens."""
    vocab = library.get_vocab_size()
    added = list(library.get_added_tokens_decoder()) or [0]
    lists = []
    for _ in range(n):
        near = rng.randrange(vocab)
        choices = [lambda: rng.randrange(vocab), lambda: min(vocab - 1, near + rng.randrange(8)),
                   lambda: rng.randrange(min(vocab, 300)), lambda: rng.choice(added), lambda: near]
        lists.append([rng.choice(choices)() for _ in range(rng.randrange(0, 16))])
    return [[one for one in ids if library.id_to_token(one) is not None] for ids in lists]


def make_texts(rng, library, n):
    tokens = [token.content for token in library.get_added_tokens_decoder().values()]
    tokens += rng.sample(sorted(library.get_vocab()), min(50, library.get_vocab_size()))
    return [texts.text(rng, tokens) for _ in range(n)]


def run_one(options, rng, name, folder, library, n):
    counts = compare(options.phalanx, folder, library, make_texts(rng, library, n), make_ids(rng, library, n))
    exact = all(count.exact == count.total for count in counts)
    if not exact or not name.startswith("synthetic"):
        print(f"{name}: ids {counts[0]}, without special tokens {counts[1]}, decoded {counts[2]}", flush=True)
    for count in counts:
        for difference in count.shown:
            print(difference)
    return counts, exact


def run_real(options):
    all_exact = True
    for path in sorted(options.real.glob("*/tokenizer.json")):
        rng = random.Random(f"{options.seed} {path.parent.name}")
        library = tokenizers.Tokenizer.from_file(str(path))
        library.no_truncation()
        library.no_padding()
        _, exact = run_one(options, rng, path.parent.name, path.parent, library, options.texts)
        all_exact = all_exact and exact
    return all_exact


def is_ambiguous(library):
    """Added tokens that are normalized to nothing are found everywhere, and the library then takes for ever; of two that
    are normalized to the same text it finds now one and now the other."""
    found = [token.content if library.normalizer is None else library.normalizer.normalize_str(token.content)
             for token in library.get_added_tokens_decoder().values() if token.normalized]
    return "" in found or len(set(found)) < len(found)


def run_synthetic(options):
    totals, n_exact, n_run, n_refused, seen = [Count() for _ in range(3)], 0, 0, 0, {}
    numbers = range(options.synthetic) if options.only is None else [options.only]
    with tempfile.TemporaryDirectory() as temporary:
        for number in numbers:
            rng = random.Random(f"{options.seed} {number}")
            made = synthetic.tokenizer(rng, number)
            written = json.dumps(made)
            loaded = reference(tokenizers.Tokenizer.from_str, [written])[0]
            if isinstance(loaded, Exception) or is_ambiguous(loaded):
                n_refused += 1
                continue
            folder = pathlib.Path(temporary)
            (folder / "tokenizer.json").write_text(written)
            counts, exact = run_one(options, rng, f"synthetic {number}", folder, loaded, options.texts_each)
            n_run, n_exact = n_run + 1, n_exact + exact
            for total, count in zip(totals, counts):
                total.exact, total.total = total.exact + count.exact, total.total + count.total
                total.left_out += count.left_out
            for kind in written.split('"type": "')[1:]:
                kind = kind.split('"')[0]
                seen[kind] = seen.get(kind, 0) + 1
            if not exact and options.keep:
                options.keep.mkdir(parents=True, exist_ok=True)
                (options.keep / f"{number}.json").write_text(json.dumps({**made, "model": None}, indent=1))
    print(f"synthetic: {n_exact}/{n_run} tokenizers exact ({n_refused} more refused by the library, or ambiguous there); ids {totals[0]}, without special tokens {totals[1]}, "
          f"decoded {totals[2]}")
    print("  stages: " + ", ".join(f"{kind} {n}" for kind, n in sorted(seen.items())))
    return n_exact == n_run


def run_stages(options):
    """The ids are the bytes of the words, and each word begins with a space: so all of the work of a stage shows."""
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    all_exact = True
    with tempfile.TemporaryDirectory() as temporary:
        for key, stage, around in synthetic.single_stages():
            made = synthetic.byte_tokenizer(**{key: stage})
            written = json.dumps(made)
            library = tokenizers.Tokenizer.from_str(written)
            (pathlib.Path(temporary) / "tokenizer.json").write_text(written)
            counts = compare(options.phalanx, temporary, library, [around.replace("*", one) for one in every], [])
            exact = counts[0].exact == counts[0].total
            print(f"{json.dumps(stage)} in {around!r}: {counts[0]}", flush=True)
            for difference in counts[0].shown:
                print(difference)
            all_exact = all_exact and exact
    return all_exact


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phalanx", default=str(ROOT / "build/release/phalanx"))
    parser.add_argument("--real", type=pathlib.Path, default=ROOT.parent / "shared/data/tokenizers")
    parser.add_argument("--texts", type=int, default=100000)
    parser.add_argument("--synthetic", type=int, default=220)
    parser.add_argument("--texts-each", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int)
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--stages", action="store_true")
    options = parser.parse_args()
    print(f"tokenizers {tokenizers.__version__}, seed {options.seed}")
    exact = options.synthetic == 0 or run_synthetic(options)
    if options.stages:
        exact = run_stages(options) and exact
    if options.texts > 0 and options.only is None:
        exact = run_real(options) and exact
    return 0 if exact else 1


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Times bench_tokenizer and Hugging Face's library in turn, both on one thread, and prints the ratios.

Usage: bench_tokenizer.py [--program PATH] [--real FOLDER] [--runs N] [--worst-mb N] [--limit SECONDS] [NAME …]

Needs the package `tokenizers`. The texts: the C files and documents of this repository (4 MB), nasty texts of many
scripts (tests/differential/texts.py, 2 MB), and --worst-mb of one letter, of spaces, and of joined emoji. The
tokenizers: those of --real, and three made here: Unigram and WordPiece with the stages that usually go with them, and
Unigram with 250,000 tokens. A line: medians of both in MB/s, and how many times faster ours is; `open`: the time to
read the file. The library keeps its cache of words from run to run, ours begins anew each time. A run of the library
that takes longer than --limit is ended, and the ratio is then a lower bound.
"""
import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/differential"))

import charsmap  # noqa: E402
import texts  # noqa: E402

CHILD = """
import sys, time, tokenizers
begin = time.perf_counter()
library = tokenizers.Tokenizer.from_file(sys.argv[1] + "/tokenizer.json")
print(time.perf_counter() - begin, flush=True)
library.no_truncation(); library.no_padding()
text = open(sys.argv[2], newline="").read()
for line in sys.stdin:
    begin = time.perf_counter()
    n = len(library.encode(text, add_special_tokens=False).ids)
    print(time.perf_counter() - begin, n, flush=True)
"""


def repository_text(n_bytes):
    files = sorted(path for folder in ("base", "docs", "kernels", "launcher", "parallel", "proto", "runtime", "tests")
                   for path in (ROOT / folder).rglob("*") if path.suffix in (".c", ".h", ".md", ".py"))
    text = "".join(path.read_text() for path in files)
    return (text * (1 + n_bytes // len(text)))[:n_bytes]


def many_scripts(n_bytes):
    rng, parts, n = random.Random(1), [], 0
    while n < n_bytes:
        parts.append(texts.text(rng, []))
        n += len(parts[-1].encode())
    return "".join(parts)


def write_texts(folder, worst_mb):
    worst = worst_mb << 20
    family = "👩‍👩‍👧‍👦"
    made = {"code and prose": repository_text(4 << 20), "many scripts": many_scripts(2 << 20), "letter": "a" * worst,
            "spaces": " " * worst, "joined emoji": family * (worst // len(family.encode()))}
    for name, text in made.items():
        (folder / f"{name}.txt").write_text(text, newline="")
    return {name: folder / f"{name}.txt" for name in made}


def substrings(n, prefix=""):
    rng, source, found = random.Random(2), repository_text(4 << 20).replace(" ", prefix or " "), {}
    for character in dict.fromkeys(source):
        found[character] = None
    while len(found) < n:
        begin = rng.randrange(len(source) - 16)
        piece = source[begin:begin + rng.randrange(2, 12)]
        if "\n" not in piece and " " not in piece and (not prefix or piece.rfind(prefix) < 1):
            found[piece] = None
    return list(found)[:n]


def made_tokenizers():
    mark = "\u2581"
    compatible = {"ﬁ": "fi", "１": "1", "\u3000": " ", "Å": "Å", "\t": " ", "\n": " ", "e\u0301": "é"}
    nothing = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "post_processor": None}
    metaspace = {"type": "Metaspace", "replacement": mark, "prepend_scheme": "always", "split": True}
    rng = random.Random(3)

    def unigram(n):
        return {"type": "Unigram", "unk_id": 0, "byte_fallback": False,
                "vocab": [["<unk>", 0.0]] + [[piece, -rng.random() * 15] for piece in substrings(n, mark)]}

    spm = {"normalizer": {"type": "Precompiled", "precompiled_charsmap": charsmap.charsmap(compatible)},
           "pre_tokenizer": metaspace, "decoder": metaspace}
    words = ["[UNK]"] + substrings(16000) + ["##" + piece for piece in substrings(16000)]
    bert = {"normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
                           "lowercase": True},
            "pre_tokenizer": {"type": "BertPreTokenizer"}, "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 100, "vocab": {piece: i for i, piece in enumerate(dict.fromkeys(words))}}}
    return {"unigram-32k": {**nothing, **spm, "model": unigram(32000)}, "wordpiece-32k": {**nothing, **bert},
            "unigram-250k": {**nothing, **spm, "model": unigram(250000)}}


class Library:
    """The library in a process of its own, so that a run that never ends can be ended."""

    def __init__(self, folder, text, limit):
        self.limit = limit
        self.child = subprocess.Popen([sys.executable, "-c", CHILD, folder, text], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
        self.open = float(self.child.stdout.readline())

    def run(self):
        """(seconds, ids); (the limit, None) when it took longer."""
        import threading
        self.child.stdin.write("go\n")
        self.child.stdin.flush()
        timer = threading.Timer(self.limit, self.child.kill)
        timer.start()
        line = self.child.stdout.readline().split()
        timer.cancel()
        return (float(line[0]), int(line[1])) if line else (self.limit, None)

    def close(self):
        self.child.stdin.close()
        self.child.wait()


def measure(options, folder, path):
    library = Library(folder, path, options.limit)
    ours, theirs, opens, ended = [], [], [], False
    for _ in range(options.runs):
        mine = json.loads(subprocess.run([options.program, folder, path], capture_output=True, check=True).stdout)
        ours += mine["encode"]
        opens.append(mine["open"])
        if not ended:
            seconds, n_ids = library.run()
            theirs.append(seconds)
            ended = n_ids is None
            if not ended and n_ids != mine["ids"]:
                raise SystemExit(f"{folder} {path}: {mine['ids']} ids, the library gives {n_ids}")
    library.close()
    mb = mine["bytes"] / 1e6
    return mb / statistics.median(ours), mb / statistics.median(theirs), ended, statistics.median(opens), library.open


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / "build/release/tests/bench/bench_tokenizer"))
    parser.add_argument("--real", type=pathlib.Path, default=ROOT.parent / "shared/data/tokenizers")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--worst-mb", type=int, default=8)
    parser.add_argument("--limit", type=float, default=60)
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        temporary = pathlib.Path(temporary)
        folders = {path.parent.name: path.parent for path in sorted(options.real.glob("*/tokenizer.json"))}
        for name, made in made_tokenizers().items():
            folders[name] = temporary / name
            folders[name].mkdir()
            (folders[name] / "tokenizer.json").write_text(json.dumps(made))
        all_texts = write_texts(temporary, options.worst_mb)
        print("| tokenizer | text | ours MB/s | library MB/s | ratio | open ms, ours and the library's |\n|---|---|---|---|---|---|")
        for name, folder in folders.items():
            if options.names and name not in options.names:
                continue
            for kind, path in all_texts.items():
                ours, theirs, ended, opened, library_opened = measure(options, str(folder), str(path))
                bound = "> " if ended else ""
                print(f"| {name} | {kind} | {ours:.1f} | {'< ' if ended else ''}{theirs:.2f} | {bound}{ours / theirs:.1f} | "
                      f"{1e3 * opened:.0f}, {1e3 * library_opened:.0f} |", flush=True)


if __name__ == "__main__":
    begun = time.time()
    main()
    print(f"\n{time.time() - begun:.0f} s", file=sys.stderr)

#!/usr/bin/env python3
"""Time layouts of ranks against each other: prefill and decode, in rounds that alternate.

    bench_layouts.py MODEL tp1xt2 tp2xt1 [tp1xpp2xt1 ...] [--rounds 7] [--json FILE]

A layout is tpN, ppN, dpN and tN (threads a rank) joined by x; what is missing is 1. Every round runs
`phalanx bench latency` once per layout and phase, each round in another order, because a machine is
faster or slower from minute to minute: the ratio to the first layout is the median of the ratios
of the rounds. Beside the times stand what rank 0 spent in communication (its waiting for later
ranks in it) and the read bandwidth that the same run measured. Needs nothing but Python.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import tempfile

PHASES = {  # input and output tokens, and the number of the JSON that is compared
    "prefill": (512, 1, "ttft"),
    "decode": (32, 64, "tpot"),
}
FLAGS = {"tp": "-tp", "pp": "-pp", "dp": "-dp", "t": "--threads"}
SPENT = re.compile(r"in each of (\d+) plans: stage \S+ calls, (\d+) bytes, (\S+) us; "
                   r"other stages \S+ calls, (\d+) bytes, (\S+) us")


def words_of(layout):
    """The options of a layout such as tp2xpp2xt1."""
    sizes = dict.fromkeys(FLAGS, "1")
    for part in layout.split("x"):
        match = re.fullmatch(r"(tp|pp|dp|t)([1-9]\d*)", part)
        if match is None:
            raise SystemExit(f"{layout}: {part!r} is not one of tpN, ppN, dpN, tN")
        sizes[match[1]] = match[2]
    return [word for name, flag in FLAGS.items() for word in (flag, sizes[name])]


def measure(args, layout, phase):
    """One run: seconds of the phase, bandwidth, communication of rank 0 a plan."""
    n_input, n_output, name = PHASES[phase]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "out.json")
        done = subprocess.run(
            [args.phalanx, "bench", "latency", args.model, *words_of(layout), "--device", "cpu",
             "--batch-size", "1", "--input-len", str(n_input), "--output-len", str(n_output), "--num-iters",
             str(args.iters), "--num-iters-warmup", "1", "--quiet", "--log-level", "info",
             "--output-json", str(path)],
            capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{layout}: exit {done.returncode}: {done.stderr}")
        numbers = json.loads(path.read_text(encoding="utf-8"))
    spent = SPENT.search(done.stderr)  # of one rank alone nothing is said
    stage_bytes, stage_us, world_bytes, world_us = (
        (float(word) for word in spent.groups()[1:]) if spent else (0, 0, 0, 0))
    return {"ms": numbers[name]["median_ms"],
            "read_gb_per_second": numbers["ceiling"]["read_bytes_per_second"] / 1e9,
            "communication_us": stage_us + world_us,
            "communication_bytes": stage_bytes + world_bytes}


def run_rounds(args):
    """{(layout, phase): [a measurement of each round]}."""
    runs = {(layout, phase): [] for phase in PHASES for layout in args.layouts}
    for number in range(args.rounds):
        first = number % len(args.layouts)
        for phase in PHASES:
            for layout in args.layouts[first:] + args.layouts[:first]:
                runs[layout, phase].append(measure(args, layout, phase))
    return runs


def summarise(args, runs):
    """Medians of the rounds, and of their ratios to the first layout."""
    rows = []
    for (layout, phase), of_rounds in runs.items():
        base = runs[args.layouts[0], phase]
        row = {name: statistics.median(one[name] for one in of_rounds) for name in of_rounds[0]}
        speed = statistics.median(b["ms"] / one["ms"] for b, one in zip(base, of_rounds))
        rows.append({"phase": phase, "layout": layout, **row, "speed": speed, "rounds": of_rounds})
    return rows


def print_table(rows):
    print("| phase | layout | ms | speed to the first | communication us a plan | bytes a plan "
          "| read GB/s |\n|---|---|---|---|---|---|---|")
    for row in rows:
        print(f"| {row['phase']} | {row['layout']} | {row['ms']:.3f} | {row['speed']:.3f} "
              f"| {row['communication_us']:.1f} | {row['communication_bytes']:.0f} "
              f"| {row['read_gb_per_second']:.1f} |")


def main():
    build = pathlib.Path(__file__).resolve().parents[2] / "build" / "release"
    parser = argparse.ArgumentParser(description="Layouts of ranks against each other.")
    parser.add_argument("model")
    parser.add_argument("layouts", nargs="+", metavar="LAYOUT", help="tp2xpp2xt1, for example")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--iters", type=int, default=3, help="answers of each run")
    parser.add_argument("--phalanx", default=str(build / "phalanx"))
    parser.add_argument("--json", help="a file for all numbers")
    args = parser.parse_args()
    if args.rounds < 1 or args.iters < 1:
        parser.error("--rounds and --iters must be at least 1")
    for layout in args.layouts:
        words_of(layout)

    rows = summarise(args, run_rounds(args))
    print_table(rows)
    print(f"\nmedians of {args.rounds} rounds; load of the machine now {os.getloadavg()[0]:.1f} on "
          f"{os.cpu_count()} CPUs: quiet machines only")
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump({"model": args.model, "rows": rows}, file, indent=2)
            file.write("\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Hold what the CUDA compiler made of the kernels against a table.

    check_kernels.py TABLE LOG...             fails on a kernel that spills, or has grown
    check_kernels.py --write TABLE LOG...     writes the table anew
    check_kernels.py --sass MODULE CUOBJDUMP  fails where an instruction that is meant is not there

A log is what nvcc said with -Xptxas -v (cmake/keep_ptxas.sh keeps it beside each object). The table has
a line for each kernel and target: registers and bytes of stack. More registers than there are a
failure: they cost occupancy, and nobody would see it on a machine without a GPU. A kernel that
spills to memory is never right. Registers depend on the compiler, so the table says which one it is
of; with another only spills count.
"""
import argparse
import pathlib
import re
import subprocess
import sys

ENTRY = re.compile(r"Compiling entry function '(\w+)' for '(\w+)'")
STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")

# Kernel (part of its name), and the instructions that it must have, on every target.
MEANT = {
    "attention_many": ["HMMA", "LDSM", "LDGSTS"],
    "exact_many": ["HMMA", "LDSM", "LDGSTS"],
    "few_rows": ["LDG.E.128"],
}


class Use:
    def __init__(self, registers, stack, spills):
        self.registers, self.stack, self.spills = registers, stack, spills


def demangle(names):
    """Names as in the source, without arguments."""
    done = subprocess.run(["c++filt", "-p"], input="\n".join(names), capture_output=True,
                          text=True, check=True)
    return dict(zip(names, (name.replace(" ", "") for name in done.stdout.splitlines())))


def read_log(text):
    """{(target, mangled name): Use} of one log."""
    found, entry, stack, spills = {}, None, 0, 0
    for line in text.splitlines():
        if match := ENTRY.search(line):
            entry, stack, spills = (match[2], match[1]), 0, 0
        elif match := STACK.search(line):
            stack, spills = int(match[1]), int(match[2]) + int(match[3])
        elif (match := USED.search(line)) and entry is not None:
            found[entry] = Use(int(match[1]), stack, spills)
            entry = None
    return found


def read_logs(paths):
    found = {}
    for path in paths:
        found |= read_log(pathlib.Path(path).read_text(encoding="utf-8"))
    names = demangle(sorted({name for _, name in found}))
    return {(target, names[name]): use for (target, name), use in found.items()}


def compiler():
    done = subprocess.run(["nvcc", "--version"], capture_output=True, text=True, check=False)
    match = re.search(r"V(\d+\.\d+\.\d+)", done.stdout)
    return match[1] if match else "unknown"


def write_table(path, found):
    lines = [f"# nvcc {compiler()}: target, kernel, registers, bytes of stack"]
    lines += [f"{target} {name} {use.registers} {use.stack}"
              for (target, name), use in sorted(found.items())]
    pathlib.Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def problems(path, found):
    lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    same_compiler = lines[0].startswith(f"# nvcc {compiler()}:")
    table = {(t, n): (int(r), int(s)) for t, n, r, s in (line.split() for line in lines[1:])}
    for (target, name), use in sorted(found.items()):
        where = f"{name} for {target}"
        if use.spills > 0:
            yield f"{where} spills {use.spills} bytes to memory"
        if not same_compiler:
            continue
        if (target, name) not in table:
            yield f"{where} is not in the table"
        elif use.registers > table[target, name][0] or use.stack > table[target, name][1]:
            yield (f"{where} has {use.registers} registers and {use.stack} bytes of stack, the "
                   f"table says {table[target, name][0]} and {table[target, name][1]}")
    if same_compiler:
        for target, name in sorted(set(table) - set(found)):
            yield f"{name} for {target} is in the table and not in the program"


def missing_instructions(module, cuobjdump):
    done = subprocess.run([cuobjdump, "--dump-sass", module], capture_output=True, text=True,
                          check=True)
    seen = {}
    for part in re.split(r"\n\s*Function : ", done.stdout)[1:]:
        name, _, code = part.partition("\n")
        for kernel, wanted in MEANT.items():
            if kernel in name:
                seen[kernel] = True
                for word in wanted:
                    if word not in code:
                        yield f"{name.strip()} has no {word}"
    for kernel in MEANT:
        if kernel not in seen:
            yield f"no kernel is called {kernel}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--sass", action="store_true")
    parser.add_argument("file", nargs="+")
    args = parser.parse_args()
    if args.sass:
        found = list(missing_instructions(*args.file))
    elif args.write:
        write_table(args.file[0], read_logs(args.file[1:]))
        return 0
    else:
        found = list(problems(args.file[0], read_logs(args.file[1:])))
    for problem in found:
        print(problem)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Hold what the CUDA compiler made of the kernels against a table.

    check_kernels.py table NVCC TABLE OBJECT...         fails where a kernel has grown
    check_kernels.py write NVCC TABLE OBJECT...         writes the table anew
    check_kernels.py instructions CUOBJDUMP MODULE      fails where one that is meant is not there

Beside an OBJECT of nvcc lies what it said with -Xptxas -v (cmake/keep_ptxas.sh); other objects are
passed over. The table has a line for each kernel and target: registers, and bytes of stack and of
spills. More of them are a failure: they cost time, and nobody would see it on a machine without a GPU. They
depend on the compiler, so the table says of which one it is: with another, only spills count.
A kernel that spills today is told by each run, passed or not.
"""
import pathlib
import re
import subprocess
import sys
import typing

SKIPPED = 77
ENTRY = re.compile(r"Compiling entry function '(\w+)' for '(\w+)'")
STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")

# Kernels of 16 bits: the instructions that they must have on every target, the matrix unit's and
# copies to shared memory, in any of the forms that the targets have for them.
MATRIX = r"\b(?:HMMA|HGMMA|UTC\w*MMA)\b"
COPY = r"\b(?:LDGSTS|UTMALDG|UBLKCP)\b"
MEANT = {
    r"attention(?:_few|_many)?<cache_(?:bf16|f16|i8),.*": [MATRIX, r"\bLDSM\b", COPY],
    r"exact_tiles<.*": [MATRIX, COPY],
    r"few_rows<.*": [MATRIX, COPY],
}


class Use(typing.NamedTuple):
    registers: int
    stack: int
    spills: int

    def __str__(self):
        return f"{self.registers} registers, {self.stack} bytes of stack, {self.spills} of spills"


def output_of(*command, text=None):
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


def demangle(names):
    """{mangled: as in the source, without namespace, arguments and blanks}"""
    names = list(names)
    lines = output_of("c++filt", "-p", text="\n".join(names)).splitlines()
    return dict(zip(names, (line.replace("(anonymous namespace)::", "").replace(" ", "")
                            for line in lines)))


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


def read_logs(objects):
    found = {}
    for path in (pathlib.Path(name + ".ptxas") for name in objects):
        if path.exists():
            found |= read_log(path.read_text(encoding="utf-8"))
    names = demangle({name for _, name in found})
    return {(target, names[name]): use for (target, name), use in found.items()}


def compiler(nvcc):
    match = re.search(r"V(\d+\.\d+\.\d+)", output_of(nvcc, "--version"))
    return match[1] if match else "unknown"


def heading(version):
    return (f"# nvcc {version}: target, kernel, registers, bytes of stack, bytes of spills. "
            "`ninja cuda_table` writes this file.")


def write_table(nvcc, path, found):
    lines = [heading(compiler(nvcc))]
    lines += [f"{target} {name} {use.registers} {use.stack} {use.spills}"
              for (target, name), use in sorted(found.items())]
    pathlib.Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_table(path):
    """The version of the compiler, and {(target, name): Use}."""
    head, *lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    rows = (line.split() for line in lines)
    return head.split()[2].rstrip(":"), {(row[0], row[1]): Use(*map(int, row[2:])) for row in rows}


def has_grown(use, known, same_compiler):
    return use.spills > known.spills or same_compiler and (
        use.registers > known.registers or use.stack > known.stack)


def problems(version, table_version, found, table):
    """Only targets that were built are looked at."""
    same_compiler = version == table_version
    for (target, name), use in sorted(found.items()):
        known = table.get((target, name))
        if known is None:
            yield f"{name} for {target} is not in the table: {use}"
        elif has_grown(use, known, same_compiler):
            yield f"{name} for {target} has {use}; in the table {known}"
    built = {target for target, _ in found}
    for target, name in sorted(set(table) - set(found)):
        if target in built:
            yield f"{name} for {target} is in the table and not in the program"


def check_table(nvcc, path, found):
    if not found:
        print("no log of a kernel was found: objects are compiled with -Xptxas -v, are they?")
        return 1
    version = compiler(nvcc)
    table_version, table = read_table(path)
    if version != table_version:
        print(f"the table is of nvcc {table_version}, this is {version}: only spills count")
    for (target, name), use in sorted(found.items()):
        if use.spills:
            print(f"spills: {name} for {target}, {use}")
    found_problems = list(problems(version, table_version, found, table))
    print("\n".join(found_problems or [f"{len(found)} kernels are as the table says"]))
    return 1 if found_problems else 0


def read_code(text):
    """(target, name, instructions) of what cuobjdump --dump-sass says."""
    for image in re.split(r"^Fatbin elf code:$", text, flags=re.M)[1:]:
        target = re.search(r"^arch = (\w+)", image, re.M)[1]
        functions = re.split(r"^\s*Function : (\S+)$", image, flags=re.M)[1:]
        names = demangle(functions[::2])
        for name, code in zip(functions[::2], functions[1::2]):
            yield target, names[name], code


def missing_instructions(text):
    unseen = set(MEANT)
    for target, name, code in read_code(text):
        for kernel, wanted in MEANT.items():
            if re.fullmatch(kernel, name):
                unseen.discard(kernel)
                yield from (f"{name} for {target} has no {word}" for word in wanted
                            if not re.search(word, code))
    yield from (f"no kernel is called {kernel}" for kernel in sorted(unseen))


def check_instructions(cuobjdump, module):
    if not pathlib.Path(cuobjdump).exists():
        print("skipped: there is no cuobjdump here")
        return SKIPPED
    missing = list(missing_instructions(output_of(cuobjdump, "--dump-sass", module)))
    print("\n".join(missing or ["every kernel has the instructions that are meant"]))
    return 1 if missing else 0


def main():
    match sys.argv[1:]:
        case ["table", nvcc, path, *objects]:
            return check_table(nvcc, path, read_logs(objects))
        case ["write", nvcc, path, *objects]:
            return write_table(nvcc, path, read_logs(objects))
        case ["instructions", cuobjdump, module]:
            return check_instructions(cuobjdump, module)
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())

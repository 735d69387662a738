"""A lint that cannot fail is none: plants violations in a temporary folder, one by one.

Usage: test_lints.py CC OBJDUMP
"""
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
CC, OBJDUMP = sys.argv[1], sys.argv[2]

CLEAN = {
    "base/a.h": "/* base/a.h: an example. */\n#pragma once\n\nint a(void);\n",
    "base/a.c": '#include "base/a.h"\n\nint a(void) { return 1; /* not a call: time() */ }\n',
    "base/CMakeLists.txt": "layer(base SOURCES a.c)\n",
    "kernels/CMakeLists.txt": "layer(kernels SOURCES k.c USES base m)\n",
    "kernels/tensor.h": "/* kernels/tensor.h: an example. */\n#pragma once\n",
    "parallel/p.c": '#include "kernels/tensor.h"\n\n#include <mpi.h>\n',
    "runtime/step_plan.h": "/* runtime/step_plan.h: an example. */\n#pragma once\n",
    "runtime/schedule/s.c": '#include "runtime/step_plan.h"\n',
    "build/release/CMakeCache.txt": "",
    "build/release/bad.c": "assert(0);\n",
    "build-gcc/CMakeCache.txt": "",
    "build-gcc/bad.c": "assert(0);\n",
    ".clang-format": (HERE.parent.parent / ".clang-format").read_text(),
}


def body(statements: str) -> str:
    return f"void f(void);\n\nvoid f(void)\n{{\n{statements}}}\n"


# lint, file, contents, what it must say
PLANTED = [
    ("includes", "base/x.c", '#include "kernels/tensor.h"\n', "base/ may not include"),
    ("includes", "kernels/x.c", '#include "parallel/p.h"\n', "does not exist"),
    ("includes", "kernels/x.c", '#include "a.h"\n', "from the root"),
    ("includes", "parallel/x.h", '#include "kernels/ops.h"\n', "kernels/ops.h"),
    ("includes", "proto/x.c", '#include "runtime/step_plan.h"\n', "proto/ may not include"),
    ("includes", "runtime/schedule/x.c", '#include "kernels/tensor.h"\n', "runtime/schedule/ may"),
    ("includes", "runtime/text/x.c", '#include "runtime/step_plan.h"\n', "runtime/text/ may not"),
    ("includes", "runtime/gateway/x.c", '  #  include "kernels/tensor.h"\n', "runtime/gateway/ may"),
    ("includes", "runtime/forward/x.c", '#include "runtime/schedule/s.c"\n', "runtime/forward/ may"),
    ("includes", "runtime/x.c", '#include "runtime/text/t.h"\n', "does not exist"),
    ("includes", "runtime/gateway/x.c", "#include <mpi.h>\n", "<mpi.h> belongs to parallel/"),
    ("includes", "runtime/x.c", "#include <cuda_runtime.h>\n", "belongs to kernels/cuda/"),
    ("includes", "launcher/x.c", "#include <histedit.h>\n", "belongs to launcher/chat/line_editor.c"),
    ("includes", "base/CMakeLists.txt", "layer(base SOURCES a.c USES kernels)\n", "may not use kernels"),
    ("includes", "proto/CMakeLists.txt", "layer(wire SOURCES w.c)\n", "in no row"),
    ("headers", "base/x.h", "size_t n;\n", "base/x.h: does not compile alone"),
    ("headers", "base/y.h", "enum x { X };\n", "does not compile alone"),
    ("style", "base/x.c", "\n" * 801, "801 lines"),
    ("style", "base/x.c", body("    a();\n" * 95), "a function of 97 lines"),
    ("style", "base/x.c", body("    a(); " + "/*" + " " * 100 + "*/\n"), "columns"),
    ("style", "docs/x.md", "<" * 7 + " HEAD\n", "docs/x.md:1: an unfinished merge"),
    ("style", "base/x.c", body("    assert(1);\n"), "base/x.c:5: assert() is banned: use check()"),
    ("style", "runtime/x.c", body("    n = atoi(s);\n"), "atoi() is banned"),
    ("style", "runtime/x.c", body("    sprintf(s, \"%d\", 1);\n"), "sprintf() is banned"),
    ("style", "runtime/x.c", body("    strcpy(s, t);\n"), "strcpy() is banned"),
    ("style", "runtime/x.c", body("    strtok(s, t);\n"), "strtok() is banned"),
    ("style", "runtime/x.c", body("    localtime(&t);\n"), "localtime() is banned"),
    ("style", "runtime/x.c", body("    n = rand();\n"), "rand() is banned"),
    ("style", "runtime/x.c", body("    system(s);\n"), "system() is banned"),
    ("style", "runtime/x.c", body("    f = popen(s, \"r\");\n"), "popen() is banned"),
    ("style", "runtime/x.c", body("    p = alloca(9);\n"), "alloca() is banned"),
    ("style", "runtime/x.c", body("    s = getenv(\"HOME\");\n"), "getenv() is banned"),
    ("style", "parallel/x.c", body("    clock_gettime(0, &t);\n"), "clock_gettime() is banned"),
    ("style", "tests/x.c", body("    usleep(5);\n"), "usleep() is banned"),
    ("style", "kernels/x.c", body("    p = malloc(9);\n"), "malloc() is banned"),
    ("style", "kernels/x.c", body("    exit(1);\n"), "exit() is banned"),
    ("style", "base/x.c", "typedef struct x {\n    int n;\n} x;\n", "no typedef of structs"),
    ("style", "base/x.c", "typedef int rank_t;\n", "rank_t: names in _t"),
    ("style", "base/x.c", "struct rank_t {\n    int n;\n};\n", "rank_t: names in _t"),
    ("style", "base/x.c", "/* TO" "DO: later */\n", "base/x.c:1: unfinished"),
    ("style", "tests/x.py", "# FIX" "ME\n", "tests/x.py:1: unfinished"),
    ("style", "base/x.h", "/* base/x.h: an example. */\n", "#pragma once"),
    ("style", "base/x.h", "/* a file */\n#pragma once\n", "starts with its contract"),
    ("style", "base/a.c", '#include <stdio.h>\n#include "base/a.h"\n', "own header"),
    ("format", "base/x.c", "int  x;\n", "base/x.c: not formatted"),
    ("globals", "base/x.c", "int n_calls;\n", "n_calls is a variable of the process"),
    ("globals", "base/x.c", "int f(void);\nint f(void)\n{\n    static int n = 1;\n    return n++;\n}\n",
     "n is a variable"),
    ("globals", "base/x.c", "static _Thread_local int n;\nint *f(void);\nint *f(void) { return &n; }\n",
     "n is a variable"),
]

# What looks like a violation and is none.
FINE = [
    ("style", "base/x.c", body("    _Static_assert(1, \"assert(x)\"); // exit(1)\n")),
    ("style", "base/x.c", body("    ops->system(1), o.time(2), my_exit(3);\n")),
    ("style", "launcher/x.c", body("    exit(1), getenv(\"HOME\");\n")),
    ("style", "base/x.inc.h", "/* base/x.inc.h: a piece. */\n"),
    ("includes", "runtime/x.c", '#include "runtime/schedule/s.c"\n'),
    ("globals", "base/x.c", "const char *const *f(void);\nstatic const char *const words[] = {\"a\"};\n"
                            "const char *const *f(void) { return words; }\n"),
]


# One result of CTest per kind of end, and what tests/count.awk must make of them.
RESULTS = """<testsuite name="(empty)" tests="8">
\t<testcase name="whole" classname="whole" time="0.1" status="run">
\t\t<system-out>  because there is no GPU here
SKIP needs_a_gpu
ok   adds
2 passed, 0 failed, 1 skipped
</system-out>
\t<testcase name="crashed" classname="crashed" time="0.1" status="fail">
\t\t<failure message=""/>
\t\t<system-out>ok   adds
</system-out>
\t<testcase name="wrong" classname="wrong" time="0.1" status="fail">
\t\t<system-out>3 passed, 2 failed, 0 skipped</system-out>
\t<testcase name="left_early" classname="left_early" time="0.1" status="fail">
\t\t<system-out>1 passed, 0 failed, 0 skipped</system-out>
\t<testcase name="python" classname="python" time="0.1" status="fail">
\t\t<system-out>..s.FE
Ran 6 tests in 0.100s

FAILED (failures=1, errors=1, skipped=1)
</system-out>
\t<testcase name="python_too" classname="python_too" time="0.1" status="run">
\t\t<system-out>.
Ran 1 test in 0.100s

OK</system-out>
\t<testcase name="script" classname="script" time="0.1" status="run">
\t\t<system-out>fine</system-out>
\t<testcase name="format" classname="format" time="0.1" status="notrun">
\t\t<system-out>SKIP: no clang-format 14 here</system-out>
"""
COUNTED = """skipped: whole: SKIP needs_a_gpu because there is no GPU here
failed: crashed (1)
failed: wrong (2)
failed: left_early (1)
failed: python (2)
skipped: format: SKIP: no clang-format 14 here
11 passed, 6 failed, 3 skipped
"""


def counts_rightly() -> bool:
    command = ["awk", "-f", HERE.parent / "count.awk"]
    told = subprocess.run(command, input=RESULTS, text=True, capture_output=True)
    good = RESULTS.split("\t<testcase")[1]
    passed = subprocess.run(command, input="\t<testcase" + good, text=True, capture_output=True)
    if (told.returncode, told.stdout, passed.returncode) == (1, COUNTED, 0):
        return True
    print(f"count.awk miscounts:\n{told.stdout}{told.stderr}{passed.stdout}{passed.stderr}")
    return False


def run(lint: str, root: pathlib.Path) -> subprocess.CompletedProcess:
    arguments = [str(root)]
    if lint == "headers":
        arguments.append(CC)
    if lint == "globals":
        library = root / "x.o"
        subprocess.run([CC, "-fPIC", "-c", root / "base/x.c", "-o", library], check=True)
        arguments = [OBJDUMP, str(library)]
    return subprocess.run([sys.executable, HERE / f"check_{lint}.py", *arguments], text=True,
                          capture_output=True)


def attempt(lint: str, name: str, contents: str) -> subprocess.CompletedProcess:
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for file, text in {**CLEAN, name: contents}.items():
            (root / file).parent.mkdir(parents=True, exist_ok=True)
            (root / file).write_text(text)
        return run(lint, root)


def main() -> int:
    failed = 0 if counts_rightly() else 1
    for lint in ("includes", "headers", "style", "format"):
        told = attempt(lint, "base/a.h", CLEAN["base/a.h"])
        if told.returncode not in (0, 77):
            print(f"check_{lint}.py refuses a clean tree:\n{told.stdout}{told.stderr}")
            failed += 1
    for lint, name, contents, wanted in PLANTED:
        told = attempt(lint, name, contents)
        if told.returncode == 77:  # no clang-format 14 here
            continue
        if told.returncode != 1 or wanted not in told.stdout:
            print(f"check_{lint}.py misses {name} ({wanted}):\n{told.stdout}{told.stderr}")
            failed += 1
    for lint, name, contents in FINE:
        told = attempt(lint, name, contents)
        if told.returncode != 0:
            print(f"check_{lint}.py refuses {name}:\n{told.stdout}{told.stderr}")
            failed += 1
    print(f"{len(PLANTED)} planted and {len(FINE)} fine, {failed} judged wrongly")
    return 1 if failed else 0


sys.exit(main())

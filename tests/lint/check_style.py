"""Fails on what CONTRIBUTING.md forbids and a machine can see.

Usage: check_style.py ROOT
"""
import pathlib
import re
import sys

import tree

MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = 90
MAX_COLUMNS = 100

# Longer files, each with the reason why it is one idea.
LONG_FILES = {}

EVERYWHERE = ()
# name of the call -> (what to write instead, where it is allowed)
BANNED = {
    r"assert": ("check() for bugs, struct error for all else", EVERYWHERE),
    r"ato[ilf]|atoll": ("strtoll() or strtod() with a look at its end", EVERYWHERE),
    r"strcpy|strcat|stpcpy|v?sprintf|gets": ("snprintf(), memcpy() or base/bytes.h", EVERYWHERE),
    r"strtok(_r)?": ("strcspn() and a length", EVERYWHERE),
    r"(gm|local)time(_r)?": ("clock_wall_ms() or clock_calendar()", ("base/system.c",)),
    r"s?rand(om)?(_r)?|[dln]rand48": ("the Philox of sample/, or system_random()", EVERYWHERE),
    r"system": ("fork() and execve() with a list of arguments", EVERYWHERE),
    r"popen": ("fork() and execve() with a list of arguments", ("launcher/",)),
    r"alloca": ("an arena", EVERYWHERE),
    r"(secure_)?getenv|setenv|putenv": ("an option", ("launcher/", "parallel/launch_place.c", "tests/")),
    r"time|clock|gettimeofday|clock_gettime|timespec_get|u?sleep|(clock_)?nanosleep":
        ("base/system.h", ("base/system.c",)),
    r"(m|c|re)alloc(array)?|aligned_alloc|posix_memalign|v?asprintf|strn?dup":
        ("base/memory.h", ("base/", "tests/")),
    r"exit|_exit|quick_exit|abort":
        ("struct error, or check()", ("launcher/", "base/check.c", "base/memory.c", "tests/")),
}
CALL = {re.compile(rf"(?<![\w.>])(?:{names})\s*\("): rest for names, rest in BANNED.items()}

# A number that C has no type for is a value, and looks like one: typedef struct {…} bf16. And a
# type of functions may return one: typedef struct call *endpoint_fn(…).
STRUCT_TYPEDEF = re.compile(r"\btypedef\s+(?:const\s+)?(?:struct|union)\b(?![^}]*\}\s*bf16;)"
                            r"(?!\s*\w+\s*\*\w+\()")
OWN_T = re.compile(r"\b(?:typedef\b[^;{]*?|(?:struct|enum|union)\s+)(\w+_t)\s*[;{]")
# Headers that say what somebody else's headers say, in their names.
OTHERS_NAMES = ("tests/cuda_emulator/include/", "tests/nccl_emulator/include/")
UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
CONFLICT = re.compile(r"^(?:<{7}|>{7}) ", re.M)  # a merge that nobody finished
LONG_LINE = re.compile(rf"^.{{{MAX_COLUMNS + 1},}}$", re.M)
FUNCTION = re.compile(r"^\{\n.*?^\}", re.M | re.S)
FIRST_INCLUDE = re.compile(r'^#include\s+["<]([^">]+)', re.M)


def check_c(root, path, text):
    name = path.relative_to(root).as_posix()
    code = tree.code_only(text)
    for call, (instead, places) in CALL.items():
        if places and name.startswith(places):
            continue
        for match in call.finditer(code):
            yield match.start(), f"{match.group().rstrip('( ')}() is banned: use {instead}"
    if not name.startswith(OTHERS_NAMES):
        for match in STRUCT_TYPEDEF.finditer(code):
            yield match.start(), "no typedef of structs: write struct at its use"
        for match in OWN_T.finditer(code):
            yield match.start(), f"{match.group(1)}: names in _t belong to POSIX"
    for match in FUNCTION.finditer(code):
        n_lines = match.group().count("\n") + 1
        if n_lines > MAX_FUNCTION_LINES:
            yield match.start(), f"a function of {n_lines} lines, the most is {MAX_FUNCTION_LINES}"
    for match in LONG_LINE.finditer(text):
        yield match.start(), f"{len(match.group())} columns, the most is {MAX_COLUMNS}"


def check_header(root, path, text):
    name = path.relative_to(root).as_posix()
    if not text.startswith(f"/* {name}: "):
        yield 0, f'a header starts with its contract: "/* {name}: what it is for"'
    if "#pragma once" not in text and not tree.is_fragment(path):
        yield 0, "a header has #pragma once"


def check_source(root, path, text):
    own = path.with_suffix(".h").relative_to(root).as_posix()
    first = FIRST_INCLUDE.search(text)
    if (root / own).exists() and (not first or first.group(1) != own):
        yield 0, f'the first include is the file\'s own header, "{own}"'


def problems(root):
    for path in tree.files(root, ".c", ".h", ".cu", ".cuh", ".md", ".py", ".sh", ".cmake", ".txt",
                           ".proto"):
        text = path.read_text()
        for match in CONFLICT.finditer(text):
            name = path.relative_to(root).as_posix()
            yield f"{name}:{tree.line_of(text, match.start())}: an unfinished merge"
    for path in tree.files(root, ".c", ".h", ".cu", ".cuh", ".py", ".sh", ".cmake",
                           "CMakeLists.txt"):
        name = path.relative_to(root).as_posix()
        text = path.read_text()
        n_lines = text.count("\n")
        if n_lines > MAX_FILE_LINES and name not in LONG_FILES:
            yield f"{name}: {n_lines} lines, the most is {MAX_FILE_LINES}"
        for match in UNFINISHED.finditer(text):
            yield f"{name}:{tree.line_of(text, match.start())}: unfinished: {match.group()}"
        checks = []
        if path.suffix in (".c", ".h", ".cu", ".cuh"):
            checks.append(check_c)
        if path.suffix in (".h", ".cuh"):
            checks.append(check_header)
        if path.suffix == ".c":
            checks.append(check_source)
        for check in checks:
            for offset, what in check(root, path, text):
                yield f"{name}:{tree.line_of(text, offset)}: {what}"


def main(root: pathlib.Path) -> int:
    wrong = list(problems(root))
    print("\n".join(wrong) if wrong else "style is as CONTRIBUTING.md says")
    return 1 if wrong else 0


sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))

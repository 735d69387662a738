"""Fails when clang-format 14 would write a C file otherwise; other versions differ in details.

Usage: check_format.py ROOT
Exit status 77 when there is no clang-format 14: CTest then counts the test as skipped.
"""
import pathlib
import re
import shutil
import subprocess
import sys

import tree

VERSION = "14"
SKIPPED = 77


def find_formatter():
    for name in (f"clang-format-{VERSION}", "clang-format"):
        tool = shutil.which(name)
        if tool:
            told = subprocess.run([tool, "--version"], text=True, capture_output=True).stdout
            if re.search(rf"version {VERSION}\.", told):
                return tool
    return None


def main(root: pathlib.Path) -> int:
    tool = find_formatter()
    if tool is None:
        print(f"SKIP: no clang-format {VERSION} here (Debian: clang-format-{VERSION})")
        return SKIPPED
    names = [p.relative_to(root).as_posix() for p in tree.files(root, ".c", ".h", ".cu", ".cuh")]
    if not names:
        return 0
    run = subprocess.run([tool, "--dry-run", "-Werror", "--style=file", *names], cwd=root, text=True,
                         capture_output=True)
    wrong = sorted(set(re.findall(r"^([^\s:]+):\d+:\d+: error", run.stderr, re.M)))
    if run.returncode and not wrong:
        print(run.stderr)
    for name in wrong:
        print(f"{name}: not formatted; run {pathlib.Path(tool).name} -i {name}")
    return 1 if run.returncode else 0


sys.exit(main(pathlib.Path(sys.argv[1]).resolve()))

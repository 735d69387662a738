"""The files that the lints look at, and C text without what is not code."""
import os
import pathlib
import re

LAYERS = ("base", "kernels", "parallel", "proto", "runtime", "launcher")


def files(root: pathlib.Path, *suffixes: str):
    """Files of the repository, sorted; not those of build trees, of git, of anything hidden."""
    found = []
    for folder, below, names in os.walk(root):
        here = pathlib.Path(folder)
        if here != root and "CMakeCache.txt" in names:
            below.clear()
            continue
        below[:] = [b for b in below if not b.startswith(".") and b != "__pycache__"
                    and not (here == root and b == "build")]
        found += [here / n for n in names if n.endswith(suffixes)]
    return sorted(found)


def is_fragment(path: pathlib.Path) -> bool:
    """x.inc.h is a piece that several .c files include in their own way, and no header."""
    return path.name.endswith(".inc.h")


NOT_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_only(text: str) -> str:
    """Comments, strings and characters become blanks, so that lines and columns stay."""
    return NOT_CODE.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def line_of(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1

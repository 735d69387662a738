"""Fails when a library has variables that live as long as the process: a rank may be a thread.

Usage: check_globals.py OBJDUMP LIBRARY…
Looks at the sections of the compiled symbols, so no way of writing a global escapes. Read-only
data with addresses in it (.data.rel.ro) is fine.
"""
import re
import subprocess
import sys

# file:variable, and why it is no state of a rank
ALLOWED = {
    "log.c:most_level": "standard error belongs to the process",
    "log.c:own_rank": "the same",
    "log.c:own_format": "the same",
    "log.c:never_waits": "the same",
    "log.c:is_stuck": "the same",
    "log.c:n_lost": "the same",
    "memory.c:allocated": "memory belongs to the process",
    "memory.c:mapped": "the same",
    "features.c:features": "what the machine can do, found once",
    "features.c:detected": "the same",
}

SYMBOL = re.compile(r"^[0-9a-f]+\s.*?\s(\.data|\.bss|\.tdata|\.tbss|\*COM\*)(\S*)\s+"
                    r"([0-9a-f]+)\s+(?:\.hidden\s+)?(\S+)$")
MEMBER = re.compile(r"^(\S+):\s+file format")


def writable(objdump: str, library: str):
    member = library
    told = subprocess.run([objdump, "-t", library], text=True, capture_output=True, check=True)
    for line in told.stdout.splitlines():
        if match := MEMBER.match(line):
            member = match.group(1).removesuffix(".o")
        match = SYMBOL.match(line)
        if match is None or match.group(2).startswith(".rel.ro") or int(match.group(3), 16) == 0:
            continue
        name = re.sub(r"\.\d+$", "", match.group(4))  # a static inside a function gets a number
        if f"{member}:{name}" not in ALLOWED:
            yield f"{member}: {name} is a variable of the process"


def main(objdump: str, libraries: list) -> int:
    wrong = [w for library in libraries for w in writable(objdump, library)]
    print("\n".join(wrong) if wrong else f"no globals in {len(libraries)} libraries")
    return 1 if wrong else 0


sys.exit(main(sys.argv[1], sys.argv[2:]))

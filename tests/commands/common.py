"""What the tests of the commands share: the programs, the demo model, and how to run them.

The tests drive the real programs as a user would. CTest gives the build folder in PHALANX_BUILD.
"""
import json
import math
import os
import pathlib
import resource
import shutil
import subprocess
import tempfile
import time
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ["PHALANX_BUILD"])
PHALANX = BUILD / "phalanx"
DEMO = SOURCE / "demo" / "model"
HAS_MPI = shutil.which("mpirun") is not None
# Sanitizers make programs several times slower and larger: bounds of time and memory are checked
# in the other builds.
SANITIZED = os.environ.get("PHALANX_SANITIZED", "") != ""
TIMEOUT_S = 300
TRIES = 5
# An engine that takes ten milliseconds and more for a token, with the bits of any other: what a test
# does in the middle of an answer is in its middle, also where the machine stalls meanwhile.
SLOWLY = ("--threads", "1", "--kernels", "scalar")
# These tests are of CPUs, also on a machine with GPUs; emulated ones (test_gpu.py) are not hidden.
os.environ["CUDA_VISIBLE_DEVICES"] = ""


def least_of(run, bound):
    """What run() tells: of the first try below the bound, or the least of them all. A machine that
    stands still for a moment makes one try slow, and a defect every one."""
    least = math.inf
    for _ in range(TRIES):
        least = min(least, run())
        if least < bound:
            break
    return least


def cpu_seconds(pid):
    """Of all threads, as the scheduler counts it."""
    return sum(int((task / "schedstat").read_text().split()[0])
               for task in pathlib.Path(f"/proc/{pid}/task").iterdir()) / 1e9


def largest_share(pids, seconds):
    """Of a core, that one of the processes takes in the seconds from now on."""
    before = {pid: cpu_seconds(pid) for pid in pids}
    time.sleep(seconds)
    return max(cpu_seconds(pid) - before[pid] for pid in pids) / seconds


def is_alive(pid):
    """A zombie is not."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] not in "ZX"


class Result:
    """Exit code, output and cost of one run."""

    def __init__(self, words, stdin=b""):
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        begin = time.monotonic()
        words = [word if isinstance(word, bytes) else str(word) for word in words]
        done = subprocess.run([str(PHALANX), *words], input=stdin, capture_output=True,
                              timeout=TIMEOUT_S, check=False)
        self.seconds = time.monotonic() - begin
        self.code = done.returncode
        self.out = done.stdout.decode()
        self.err = done.stderr.decode(errors="replace")
        after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        self.peak_kb = max(before, after)  # an upper bound: the maximum over all runs so far


def phalanx(*words, stdin=b""):
    return Result(words, stdin)


def generate_json(*words, model=DEMO, stdin=b""):
    """The parsed list that `generate --json` prints; fails when the command does."""
    result = phalanx("generate", model, "--json", *words, stdin=stdin)
    if result.code != 0:
        raise AssertionError(f"exit {result.code}: {result.err}")
    return json.loads(result.out)


class ModelCase(unittest.TestCase):
    """A test with a private copy of the demo model to break."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="phalanx-test-"))
        self.model = self.folder / "model"
        shutil.copytree(DEMO, self.model)
        self.addCleanup(shutil.rmtree, self.folder)

    def edit_config(self, **changes):
        path = self.model / "config.json"
        config = json.loads(path.read_text())
        config.update(changes)
        path.write_text(json.dumps(config))

    def read_tensors(self):
        """Header (a dict) and data of model.safetensors."""
        raw = (self.model / "model.safetensors").read_bytes()
        size = int.from_bytes(raw[:8], "little")
        return json.loads(raw[8:8 + size]), raw[8 + size:]

    def drop_tensors(self, *names):
        """Writes the file without these tensors, as a good file that lacks them."""
        header, data = self.read_tensors()
        kept, rest = {}, b""
        for name, entry in header.items():
            if name == "__metadata__" or name in names:
                continue
            begin, end = entry["data_offsets"]
            kept[name] = dict(entry, data_offsets=[len(rest), len(rest) + end - begin])
            rest += data[begin:end]
        self.write_tensors(kept, rest)

    def write_tensors(self, header, data):
        text = json.dumps(header).encode()
        (self.model / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)

"""Minutes of more than a server can do (label long): what it does at the same time must not suffer."""
import concurrent.futures
import json
import pathlib
import random
import statistics
import subprocess
import tempfile
import time
import unittest

from serving import PHALANX, ServerCase, wait_for

SEQUENCES, QUEUE = 16, 32


def resident_kb(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def children(pid):
    out = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, check=False).stdout
    return [int(word) for word in out.split()]


class Overload(ServerCase):
    # A CPU for the ranks; the other one is for those who ask and who say no.
    WORDS = ("--threads", 1, "--max-num-seqs", SEQUENCES, "--max-queue", QUEUE, "--disable-log-requests",
             "--disable-log-stats")

    def bench(self, *words):
        """The numbers of `phalanx bench serve`."""
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            subprocess.run([str(PHALANX), "bench", "serve", "--base-url", self.server.url,
                            "--input-len", "32", "--output-len", "256", "--quiet", "--output-json",
                            file.name, *map(str, words)], check=False, capture_output=True,
                           timeout=300)
            return json.loads(pathlib.Path(file.name).read_text())

    def refusals(self, seconds):
        """How long refused requests took, asked one after the other."""
        times, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            answer = self.server.post("/v1/completions", {"prompt": "a", "max_tokens": 8})
            if answer.status == 429:
                times.append(answer.seconds)
            time.sleep(0.01)
        return times

    def test_ten_times_too_many_cost_those_that_are_let_in_nothing(self):
        at_peak = self.bench("--num-prompts", 600, "--max-concurrency", SEQUENCES + QUEUE)
        peak = at_peak["request_throughput"]
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(self.refusals, 15)
            over = self.bench("--num-prompts", int(peak * 10 * 20), "--request-rate", peak * 10)
            times = asked.result()
        self.assertGreater(over["failed"], over["completed"])
        self.assertGreaterEqual(over["request_throughput"], 0.95 * peak, (over, peak))
        self.assertGreater(len(times), 20)
        self.assertLess(statistics.quantiles(times, n=100)[98], 0.05)
        self.assertTrue(wait_for(
            lambda: self.server.metric("phalanx_sequences_in_flight") == 0, 5))

    def gaps(self, n):
        """The 99th percentile of the time between tokens of n short streams at once."""
        def ask(i):
            times = [time.monotonic() for event in self.server.stream(
                "/v1/completions", {"prompt": f"The dog {i}", "max_tokens": 64, "temperature": 0,
                                    "ignore_eos": True}) if event != "[DONE]"]
            return [b - a for a, b in zip(times, times[1:])]

        with concurrent.futures.ThreadPoolExecutor(n) as pool:
            gaps = [gap for stream in pool.map(ask, range(n)) for gap in stream]
        return statistics.quantiles(gaps, n=100)[98]

    def test_a_long_prompt_does_not_hold_up_short_ones(self):
        alone = min(self.gaps(SEQUENCES - 1) for _ in range(3))
        ids = [5 + i % 900 for i in range(1980)]
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            beside = []
            for i in range(3):
                asked = pool.submit(self.server.post, "/v1/completions",
                                    {"prompt": [7 + i, *ids], "max_tokens": 8, "ignore_eos": True})
                beside.append(self.gaps(SEQUENCES - 1))
                self.assertEqual(asked.result().status, 200)
        self.assertLessEqual(min(beside), 3 * alone, (beside, alone))

    def test_twenty_thousand_requests_with_one_of_five_cut_off_leave_nothing(self):
        random.seed(1)
        pid = self.server.child.pid

        def visit(i):
            body = {"prompt": f"Once {i}", "max_tokens": 8, "seed": i, "ignore_eos": True}
            if i % 5:
                return self.server.post("/v1/completions", body).status
            stream = self.server.stream("/v1/completions", body)
            for _ in range(random.randrange(4)):
                next(stream)
            stream.close()
            return 200

        def look():
            self.assertTrue(wait_for(
                lambda: self.server.metric("phalanx_sequences_in_flight") == 0, 5))
            return ([resident_kb(p) for p in (pid, *children(pid))],
                    len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir())))

        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            self.assertEqual(set(pool.map(visit, range(4000))), {200})
            memory, files = look()
            self.assertEqual(set(pool.map(visit, range(4000, 20000))), {200})
        memory_after, files_after = look()
        self.assertLessEqual(files_after, files)
        for before, after in zip(memory, memory_after):
            self.assertLessEqual(after, before * 1.05)


if __name__ == "__main__":
    unittest.main()

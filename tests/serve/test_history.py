"""A random mix of requests while ranks are lost, and the history of it against its rules.

PHALANX_LONG=1: minutes, many seeds. PHALANX_SEED=N: another mix.
"""
import concurrent.futures
import os
import pathlib
import random
import re
import signal
import threading
import time
import unittest

import forms
import mix
import serving
from history import Ask, History, violations
from recorder import Visit, Way
from rpc import free_port
from rpc_recorder import RpcClient, RpcLeave
from serving import HAS_MPI, SANITIZED, ranks_of, wait_for

LONG = "PHALANX_LONG" in os.environ
SEED = int(os.environ.get("PHALANX_SEED", "2026"))
N_ASKS = 600 if LONG else 60 if SANITIZED else 140
N_CLIENTS = 12
WORDS = ("--log-format", "json", "--max-num-seqs", 8, "--max-queue", 400, "--max-body-bytes",
         mix.LONGEST_BODY, "--scheduling-policy", "priority", "--max-restarts", 1000)


def metrics_of(server):
    return {key: float(value) for key, value in re.findall(
        r"^(phalanx_[^ ]+(?:\{.*\})?) (\S+)$", server.get("/metrics").body.decode(), re.M)}


def total(metrics, name):
    return sum(value for key, value in metrics.items() if key.split("{")[0] == name)


def busy(server):
    """What must come to nothing when nobody asks any more."""
    metrics = metrics_of(server)
    return {name: total(metrics, f"phalanx_{name}") for name in (
        "num_requests_running", "num_requests_waiting", "kv_cache_usage_perc",
        "sequences_in_flight")}


def files_and_threads(server):
    """Threads of gRPC's own pools come and go."""
    folder = pathlib.Path(f"/proc/{server.child.pid}")
    names = [(task / "comm").read_text().strip() for task in (folder / "task").iterdir()]
    return {"open files": len(list((folder / "fd").iterdir())),
            "threads": names.count("phalanx")}


class Clients:
    """Runs all visits, some at a time, each in its own way."""

    def __init__(self, server, chance, asked):
        self.server, self.chance = server, chance
        self.rpc = RpcClient(server.grpc)
        self.records, self.errors = [], []
        work = [lambda ask=ask: [self.rpc.run(ask, self.rpc_leave(ask))]
                for ask in asked if ask.is_rpc]
        for way, group in mix.visits(chance, [ask for ask in asked if not ask.is_rpc]):
            visit = Visit(server.place, way, chance)
            work.append(lambda visit=visit, group=group: visit.run(group))
        chance.shuffle(work)
        self.n_done, self.pool = 0, concurrent.futures.ThreadPoolExecutor(N_CLIENTS)
        self.futures = [self.pool.submit(one) for one in work]

    def rpc_leave(self, ask):
        leave = self.chance.choice((None, None, None, RpcLeave("cancel", self.chance.randint(1, 9)),
                                    RpcLeave("abort", self.chance.randint(1, 5)),
                                    RpcLeave("deadline", self.chance.choice((0.01, 0.1, 0.5)))))
        is_unary = ask.form not in ("completion", "chat")
        return None if ask.statuses == (400,) or is_unary else leave

    def share(self):
        return sum(future.done() for future in self.futures) / len(self.futures)

    def join(self):
        self.records = [record for future in self.futures for record in future.result(600)]
        self.pool.shutdown()
        self.rpc.close()
        return self.records


class Histories(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """What each gets alone, from a server of one rank: bits depend on no layout."""
        cls.asked = mix.asks(random.Random(SEED), SEED, N_ASKS)
        server = serving.Server("--disable-log-requests")
        try:
            cls.alone = {ask.id: cls.ask_alone(server, mix.alone(ask)) for ask in cls.asked
                         if ask.is_fixed and 200 in ask.statuses}
        finally:
            server.stop()

    @staticmethod
    def ask_alone(server, ask):
        record, = Visit(server.place, Way(), random.Random(0)).run([ask])
        return forms.see(record)

    def start(self, *words):
        server = serving.Server("--grpc-port", free_port(), *WORDS, *words)
        self.addCleanup(server.kill)
        return server

    def warm_up(self, server):
        """After it files and threads are those of a server that has worked."""
        client = RpcClient(server.grpc)
        for i, is_rpc in enumerate((True, False)):
            ask = Ask(f"warm-{i}", "completion", "/v1/completions", {"prompt": "a"}, is_rpc=is_rpc)
            if is_rpc:
                client.run(ask)
            else:
                Visit(server.place, Way(), random.Random(0)).run([ask])
        client.close()

    def run_mix(self, disturb, *words):
        """The mix, and in the middle of it what disturb(server) does."""
        server = self.start(*words)
        self.warm_up(server)
        self.assertTrue(wait_for(lambda: not any(busy(server).values()), 5))
        history = History([], {}, self.alone, server.lines, metrics_of(server),
                          at_start=files_and_threads(server))
        clients = Clients(server, random.Random(SEED + 1), self.asked)
        if disturb is not None:
            wait_for(lambda: clients.share() > 0.3, 60)
            disturb(server)
        history.records = clients.join()
        ended = time.monotonic()
        wait_for(lambda: self.is_at_rest(server, history), 2)
        history.after = metrics_of(server)
        self.check(history)
        self.drain(server, history)
        return time.monotonic() - ended

    @staticmethod
    def what_is_left(server):
        return {**files_and_threads(server), **busy(server)}

    def is_at_rest(self, server, history):
        history.at_rest = self.what_is_left(server)
        return all(value <= history.at_start.get(name, 0)
                   for name, value in history.at_rest.items())

    def drain(self, server, history):
        """It is told to end with streams running: these are finished, nobody is let in, and 0."""
        history.after = history.at_rest = None
        body = {"prompt": mix.OPENING, "max_tokens": 100, "temperature": 0, "ignore_eos": True,
                "stream": True, "return_token_ids": True}
        last = [Ask(f"q{SEED}x{10 ** 6 + i}", "completion", "/v1/completions", body, is_stream=True)
                for i in range(4)]
        begun = threading.Semaphore(0)
        with concurrent.futures.ThreadPoolExecutor(len(last)) as pool:
            running = [pool.submit(Visit(server.place, Way(), random.Random(0)).run, [ask])
                       for ask in last]
            self.assertTrue(wait_for(
                lambda: busy(server)["sequences_in_flight"] == len(last), 20))
            server.signal(signal.SIGTERM)
            self.assertTrue(wait_for(lambda: "draining" in server.err, 5))
            late = Ask(f"q{SEED}x{10 ** 7}", "completion", "/v1/completions", body,
                       is_stream=True, statuses=(503,))
            history.records += Visit(server.place, Way(), random.Random(0)).run([late])
            history.records += [record for future in running for record in future.result()]
        del begun
        self.assertEqual(server.wait(), 0, server.err)
        self.check(history)
        self.assertEqual(len({history.seen[ask.id].choices[0].text for ask in last}), 1)

    def check(self, history):
        history.seen = {record.ask.id: forms.see(record) for record in history.records}
        wrong = violations(history)
        if wrong:
            self.fail("\n".join([f"{len(wrong)} with the seed {SEED}:", *wrong]))

    def test_one_rank(self):
        self.run_mix(None)

    @unittest.skipUnless(HAS_MPI, "mpirun is not installed")
    def test_two_ranks_of_which_one_is_killed(self):
        self.run_mix(lambda server: os.kill(ranks_of(server)[-1], signal.SIGKILL), "-tp", 2)

    def test_two_replicas_of_which_one_stops(self):
        self.run_mix(lambda server: os.kill(ranks_of(server)[-1], signal.SIGSTOP), "-dp", 2)


if __name__ == "__main__":
    unittest.main()

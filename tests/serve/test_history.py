"""A random mix of requests while ranks are lost, keys change, or the server sleeps; and the history
of it against its rules.

PHALANX_LONG=1: minutes, and more kinds of trouble. PHALANX_SEED=N: another mix.
"""
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import ssl
import struct
import tempfile
import time
import unittest

import forms
import grpc
import mix
import serving
from history import Ask, History
from recorder import Visit, Way
from rpc import free_port, pb, pb_grpc
from rpc_recorder import RpcClient, RpcLeave
from rules import violations
from serving import HAS_MPI, SANITIZED, ranks_of, wait_for

LONG = "PHALANX_LONG" in os.environ
SEED = int(os.environ.get("PHALANX_SEED", "2026"))
N_ASKS = 600 if LONG else 60 if SANITIZED else 140
N_CLIENTS = 12
N_LAST = 250 if SANITIZED else 1900  # tokens of answers that are there while the server drains
N_HELD = 12     # choices as long, of which some wait
OF_MPIRUN = ("[warn] Epoll", "PMIX ERROR")  # what its own libraries say when a rank is lost
KEY = "the-key-of-the-history"
WORDS = ("--log-format", "json", "--max-num-seqs", 8, "--max-queue", 400, "--max-body-bytes",
         mix.LONGEST_BODY, "--scheduling-policy", "priority", "--max-restarts", 1000,
         "--drain-timeout", 600)


class Server(serving.Server):
    """One that may want a key, and TLS."""

    def __init__(self, *words, tls=None, key=None):
        self.tls, self.key = tls, key
        super().__init__(*WORDS, *words)

    def connect(self, timeout=60):
        if self.tls is None:
            return super().connect(timeout)
        return serving.http.client.HTTPSConnection(*self.place, timeout=timeout, context=self.tls)

    def ask(self, method, path, body=None, headers=None, timeout=60):
        with_key = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        return super().ask(method, path, body, {**with_key, **(headers or {})}, timeout)

    def visit(self, asks, way=Way(), chance=random.Random(0)):
        return Visit(self.place, way, chance, self.tls, self.key).run(asks)

    def metrics(self):
        return {key: float(value) for key, value in re.findall(
            r"^(phalanx_[^ ]+(?:\{.*\})?) (\S+)$", self.get("/metrics").body.decode(), re.M)}

    def busy(self):
        """What must come to nothing when nobody asks any more."""
        metrics = self.metrics()
        return {name: sum(value for key, value in metrics.items()
                          if key.split("{")[0] == f"phalanx_{name}")
                for name in ("num_requests_running", "num_requests_waiting",
                             "kv_cache_usage_perc", "sequences_in_flight")}

    def files_and_threads(self):
        """Threads of gRPC's own pools come and go."""
        folder = pathlib.Path(f"/proc/{self.child.pid}")
        names = [(task / "comm").read_text().strip() for task in (folder / "task").iterdir()]
        return {"open files": len(list((folder / "fd").iterdir())),
                "threads": names.count("phalanx")}

    def resident_kb(self):
        return [int(pathlib.Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0])
                for pid in (self.child.pid, *ranks_of(self))]


class Clients:
    """Runs all requests, some at a time, each in its own way."""

    def __init__(self, server, chance, asked):
        self.server, self.chance = server, chance
        self.rpc = RpcClient(server.grpc) if server.grpc else None
        work = [lambda ask=ask, leave=self.rpc_leave(ask): [self.rpc.run(ask, leave)]
                for ask in asked if ask.is_rpc]
        for way, group in mix.visits(chance, [ask for ask in asked if not ask.is_rpc]):
            work.append(lambda way=way, group=group, own=random.Random(chance.random()):
                        server.visit(group, way, own))
        chance.shuffle(work)
        self.pool = concurrent.futures.ThreadPoolExecutor(N_CLIENTS)
        self.futures = [self.pool.submit(one) for one in work]

    def rpc_leave(self, ask):
        leave = self.chance.choice((None, None, None, RpcLeave("cancel", self.chance.randint(1, 9)),
                                    RpcLeave("abort", self.chance.randint(1, 5)),
                                    RpcLeave("deadline", self.chance.choice((0.01, 0.1, 0.5)))))
        is_unary = ask.form not in ("completion", "chat")
        return None if ask.statuses == (400,) or is_unary else leave

    def share(self):
        """How much of it is done, 0 to 1."""
        return sum(future.done() for future in self.futures) / len(self.futures)

    def are_done(self):
        return self.share() == 1

    def join(self):
        """All records."""
        records = [record for future in self.futures for record in future.result(600)]
        self.pool.shutdown()
        if self.rpc is not None:
            self.rpc.close()
        return records


class HistoryCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """What each gets alone, from a server of one rank: bits depend on no layout."""
        cls.asked = mix.asks(random.Random(SEED), SEED, N_ASKS)
        server = Server("--disable-log-requests")
        try:
            cls.alone = {ask.id: forms.see(*server.visit([mix.alone(ask)])) for ask in cls.asked
                         if ask.is_fixed and 200 in ask.statuses}
        finally:
            server.stop()

    def start(self, *words, **more):
        server = Server(*words, **more)
        self.addCleanup(server.kill)
        self.warm_up(server)
        return server

    def warm_up(self, server):
        """After it files and threads are those of a server that has worked."""
        ask = Ask("warm", "completion", "/v1/completions", {"prompt": "a"})
        server.visit([ask])
        if server.grpc:
            client = RpcClient(server.grpc)
            client.run(ask)
            client.close()
        self.assertTrue(wait_for(lambda: not any(server.busy().values())))

    def run_mix(self, server, disturb=None, also=(), errors=()):
        """The mix, and from some moment in it what disturb(server, clients) does; `also` are more
        statuses that everybody may get meanwhile, `errors` what the log may tell."""
        asked = [dataclasses.replace(ask, statuses=(*ask.statuses, *also)) for ask in self.asked
                 if server.grpc or not ask.is_rpc]
        history = History([], {}, self.alone, server.lines, errors, server.metrics(),
                          at_start=server.files_and_threads())
        clients = Clients(server, random.Random(SEED + 1), asked)
        if disturb is not None:
            wait_for(lambda: clients.share() > 0.3, 60)
            disturb(server, clients)
        history.records = clients.join()
        wait_for(lambda: self.is_at_rest(server, history))
        self.hear_all(server)
        history.after = server.metrics()
        self.check(history)
        return history

    def hear_all(self, server):
        """Lines are read by a thread of their own: all that were written before this one's."""
        mark = f"mark-{time.monotonic_ns()}"
        server.get("/v1/models", headers={"X-Request-Id": mark})
        self.assertTrue(wait_for(lambda: mark in server.err))

    @staticmethod
    def is_at_rest(server, history):
        history.at_rest = {**server.files_and_threads(), **server.busy()}
        return all(value <= history.at_start.get(name, 0)
                   for name, value in history.at_rest.items())

    def drain(self, server, history):
        """It is told to end with streams running: these are finished, nobody is let in, and 0."""
        history.after = history.at_rest = None
        body = {"prompt": mix.OPENING, "max_tokens": N_LAST, "temperature": 0, "ignore_eos": True,
                "return_token_ids": True}
        last = [Ask(f"q{SEED}x{10 ** 6 + i}", "completion", "/v1/completions",
                    {**body, "stream": True}, is_stream=True) for i in range(3)]
        in_rpc = Ask(f"q{SEED}x{2 * 10 ** 6}", "completion", "/v1/completions", body, is_rpc=True)
        late = dataclasses.replace(last[0], id=f"q{SEED}x{3 * 10 ** 6}", statuses=(503,))
        client = RpcClient(server.grpc) if server.grpc else None
        in_flight = lambda: server.busy()["sequences_in_flight"]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            running = [pool.submit(server.visit, [ask]) for ask in last]
            if client is not None:
                running.append(pool.submit(lambda: [client.run(in_rpc)]))
            self.assertTrue(wait_for(lambda: in_flight() == len(running)))
            # The server is there, however long this test stands still, until `late` has its answer.
            holder = server.connect()
            holder.request("POST", "/v1/completions", json.dumps(
                {**body, "n": N_HELD, "temperature": 1}), {"Authorization": f"Bearer {KEY}"})
            self.assertTrue(wait_for(lambda: in_flight() >= N_HELD))
            server.signal(signal.SIGTERM)
            self.assertTrue(wait_for(lambda: "draining" in server.err))
            history.records += server.visit([late])
            holder.close()
            ended = [record for future in running for record in future.result()]
        if client is not None:
            client.close()
        self.assertEqual(server.wait(), 0, server.err)
        history.records += ended
        self.check(history)
        self.assertEqual(len({history.seen[r.ask.id].choices[0].text for r in ended}), 1)

    def check(self, history):
        history.seen = {record.ask.id: forms.see(record) for record in history.records}
        wrong = violations(history)
        if wrong:
            self.fail("\n".join([f"{len(wrong)} with the seed {SEED}:", *wrong]))


# ---- trouble ----

def lose_a_rank(number):
    return lambda server, clients: os.kill(ranks_of(server)[-1], number)


def abort_ids_of_http(server, clients):
    """Only calls of gRPC can be aborted, so nobody loses anything."""
    with grpc.insecure_channel(server.grpc) as channel:
        stub = pb_grpc.InferenceStub(channel)
        while not clients.are_done():
            ids = [f"{kind}-q{SEED}x{i}" for kind in ("cmpl", "chatcmpl", "gen")
                   for i in range(min(N_ASKS, 300))]
            assert stub.Abort(pb.AbortRequest(request_ids=ids)).n_aborted == 0
            time.sleep(0.01)


def sleep_and_wake(server, clients):
    while not clients.are_done():
        assert server.post("/sleep?level=1", None).status == 200
        time.sleep(0.05)
        assert server.post("/wake_up", None).status == 200
        time.sleep(0.2)


def read_keys_again(keys):
    def disturb(server, clients):
        i = 0
        while not clients.are_done():
            new = keys.with_suffix(".new")
            new.write_text(f"{KEY}\nanother-key-{i}\n" if i % 3 else "bad\n")
            new.rename(keys)
            server.signal(signal.SIGHUP)
            break_handshake(server, random.Random(i))
            i += 1
    return disturb


def break_handshake(server, chance):
    """Leaves amid the first message of TLS, with a reset in one of two cases."""
    sent = ssl.MemoryBIO()
    hello = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname="a")
    try:
        hello.do_handshake()
    except ssl.SSLWantReadError:
        pass
    data = sent.read()
    with socket.create_connection(server.place) as half:
        half.sendall(data[:chance.randrange(len(data) + 1)])
        if chance.random() < 0.5:
            half.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Ranks(HistoryCase):
    def run_to_its_end(self, disturb, *words):
        server = self.start("--grpc-port", free_port(), *words)
        self.drain(server, self.run_mix(server, disturb, errors=OF_MPIRUN))

    def test_one_that_nothing_happens_to_but_aborts_of_what_cannot_be_aborted(self):
        self.run_to_its_end(abort_ids_of_http)

    @unittest.skipUnless(HAS_MPI, "mpirun is not installed")
    def test_two_ranks_of_which_one_is_killed(self):
        self.run_to_its_end(lose_a_rank(signal.SIGKILL), "-tp", 2)

    def test_two_replicas_of_which_one_stops(self):
        self.run_to_its_end(lose_a_rank(signal.SIGSTOP), "-dp", 2)


@unittest.skipUnless(LONG, "minutes: PHALANX_LONG=1")
class Storms(HistoryCase):
    def test_a_server_that_falls_asleep_again_and_again(self):
        server = self.start("--grpc-port", free_port())
        self.drain(server, self.run_mix(server, sleep_and_wake, also=(503,)))

    @unittest.skipUnless(shutil.which("openssl"), "no openssl to make a certificate with")
    def test_tls_with_broken_handshakes_and_keys_that_are_read_again(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="phalanx-test-"))
        self.addCleanup(shutil.rmtree, folder)
        certificate, key = serving.make_certificate(folder)
        keys = folder / "keys"
        keys.write_text(f"{KEY}\n")
        tls = ssl.create_default_context(cafile=certificate)
        server = self.start("--ssl-certfile", certificate, "--ssl-keyfile", key, "--api-key-file",
                            keys, tls=tls, key=KEY)
        self.drain(server, self.run_mix(server, read_keys_again(keys),
                                        errors=["the keys of before stay"]))

    def test_twenty_thousand_requests_leave_no_memory_behind(self):
        server = self.start("--grpc-port", free_port())
        sizes = []
        for i in range(10):
            asked = mix.asks(random.Random(SEED + i), SEED + i, 2000)
            Clients(server, random.Random(i), asked).join()
            self.assertTrue(wait_for(lambda: not any(server.busy().values()), 5))
            sizes.append(server.resident_kb())
        for before, after in zip(sizes[1], sizes[-1]):
            self.assertLessEqual(after, before * 1.05, sizes)
        self.assertEqual(server.stop(), 0, server.err)


if __name__ == "__main__":
    unittest.main()

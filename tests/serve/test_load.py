"""More than a server can do, users that go away, and what stays of them."""
import concurrent.futures
import json
import pathlib
import random
import sys
import threading
import time
import unittest

from serving import SLOWLY, Server, ServerCase, wait_for

BODY = {"prompt": "Once upon a time", "max_tokens": 24, "temperature": 0, "ignore_eos": True}


def files_and_threads(pid):
    return (len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir())),
            len(list(pathlib.Path(f"/proc/{pid}/task").iterdir())))


class LoadCase(ServerCase):
    def is_quiet(self):
        return (self.server.metric("phalanx_num_requests_running") == 0 and
                self.server.metric("phalanx_num_requests_waiting") == 0)

    def tearDown(self):
        self.assertTrue(wait_for(self.is_quiet, 2), self.server.get("/metrics").body.decode())


class Load(LoadCase):
    WORDS = ("--max-num-seqs", 4, "--max-queue", 4)

    def aborted(self):
        return self.server.metric("phalanx_request_success_total", 'finished_reason="abort"')

    def test_too_many_are_told_at_once_and_all_others_are_answered(self):
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            answers = list(pool.map(
                lambda _: self.server.post("/v1/completions", {**BODY, "max_tokens": 200}),
                range(40)))
        good = [answer for answer in answers if answer.status == 200]
        refused = [answer for answer in answers if answer.status == 429]
        self.assertEqual(len(good) + len(refused), 40, {a.status for a in answers})
        self.assertGreaterEqual(len(good), 8)
        self.assertGreater(len(refused), 0)
        for answer in refused:
            self.check_error(answer, 429)
            self.assertGreaterEqual(int(answer.headers["Retry-After"]), 1)
        self.assertEqual(len({answer.json["choices"][0]["text"] for answer in good}), 1)

    def test_a_stalled_reader_is_cut_off_and_its_request_ends(self):
        connection = self.server.connect()
        connection.connect()
        connection.sock.setsockopt(1, 8, 4096)  # SOL_SOCKET, SO_RCVBUF: little fits
        before = self.aborted()
        connection.request("POST", "/v1/completions", '{"prompt": "a", "max_tokens": 1900, '
                           '"ignore_eos": true, "stream": true, "logprobs": 5}')
        self.assertTrue(wait_for(lambda: self.aborted() == before + 1, 30))
        self.assertTrue(wait_for(lambda: "does not read" in self.server.err, 1))
        connection.close()

    def test_a_mix_has_the_texts_that_each_has_alone(self):
        random.seed(4)
        bodies = [{**BODY, "seed": i, "temperature": random.choice([0, 0.7, 1]),
                   "max_tokens": random.randint(1, 40),
                   "prompt": " ".join(random.choices(["the", "dog", "was", "happy"], k=5))}
                  for i in range(24)]
        alone = [self.server.post("/v1/completions", body).json["choices"][0]["text"]
                 for body in bodies]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            together = [answer.json["choices"][0]["text"] for answer in pool.map(
                lambda body: self.server.post("/v1/completions", body), bodies)]
        self.assertEqual(together, alone)

    def test_cancels_at_random_leave_files_threads_and_memory_as_they_were(self):
        pid = self.server.child.pid
        self.server.post("/v1/completions", BODY)
        before = files_and_threads(pid)

        def visit(i):
            stream = self.server.stream("/v1/completions", {**BODY, "max_tokens": 60, "seed": i})
            for k, _ in enumerate(stream):
                if i % 5 == 0 and k == i % 7:
                    break
            stream.close()

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            list(pool.map(visit, range(120)))
        self.assertTrue(wait_for(lambda: files_and_threads(pid) <= before, 3),
                        (files_and_threads(pid), before))


class Gone(LoadCase):
    WORDS = SLOWLY  # nothing ends by itself

    def test_a_user_that_goes_away_frees_what_ran_for_it(self):
        for taken in (0, 1, 5):
            stream = self.server.stream("/v1/completions", {**BODY, "max_tokens": 1900})
            for _ in range(taken):
                next(stream)
            stream.close()
            self.assertTrue(wait_for(self.is_quiet, 1))

    def test_one_that_waits_for_a_whole_answer_and_goes_away_frees_too(self):
        connection = self.server.connect()
        connection.request("POST", "/v1/completions",
                           '{"prompt": "a", "max_tokens": 1900, "ignore_eos": true}')
        self.assertTrue(wait_for(lambda: not self.is_quiet(), 5))
        connection.close()
        self.assertTrue(wait_for(self.is_quiet, 1))


class ManyPrompts(ServerCase):
    """So many texts in one request that others would notice, were they read in one go."""
    WORDS = ("--max-queue", 2048, "--disable-log-requests")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        random.seed(7)
        # no word twice: what has been read before is read faster
        cls.texts = ["".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=2000))
                     for _ in range(2000)]

    def ask_beside(self, visit):
        """The longest that somebody else waited while `visit` was under way, and its answer."""
        gaps = [0]
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(visit)
            while not answer.done():
                gaps.append(self.server.get("/health/live").seconds)
                time.sleep(0.005)
        return max(gaps), answer.result()

    def test_are_read_between_the_requests_of_others(self):
        for path, field in (("/v1/completions", "prompt"), ("/v1/embeddings", "input")):
            with self.subTest(path):
                body = {field: self.texts + ["x " * 4000]}
                gap, answer = self.ask_beside(lambda p=path, b=body: self.server.post(p, b))
                error = self.check_error(answer, 400, field)
                self.assertEqual(error["code"], "context_length_exceeded")
                self.assertLess(gap, answer.seconds / 2)

    def test_are_read_no_further_when_nobody_waits(self):
        connection = self.server.connect()
        connection.request("POST", "/v1/embeddings", json.dumps({"input": self.texts}),
                           {"Content-Type": "application/json"})
        in_flight = "phalanx_sequences_in_flight"
        self.assertTrue(wait_for(lambda: self.server.metric(in_flight) > 0, 5))
        connection.close()
        self.assertTrue(wait_for(lambda: self.server.metric(in_flight) == 0, 2))

    def test_are_read_to_the_end_when_the_server_drains(self):
        server = Server(*self.WORDS)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(server.post, "/v1/completions",
                                 {"prompt": self.texts + ["x " * 4000]})
            self.assertTrue(wait_for(lambda: server.metric("phalanx_sequences_in_flight") > 0, 5))
            self.assertEqual(server.stop(), 0)
            self.check_error(answer.result(), 400, "prompt")


if __name__ == "__main__":
    threading.stack_size(1 << 19)
    sys.exit(unittest.main())

"""More than a server can do, users that go away, and what stays of them."""
import concurrent.futures
import json
import pathlib
import random
import sys
import threading
import unittest

from serving import (SLOW, SLOWLY, TRIES, Server, ServerCase, least_of, seconds_until,
                     wait_for)

BODY = {"prompt": "Once upon a time", "max_tokens": 24, "temperature": 0, "ignore_eos": True}


def files_and_threads(pid):
    return (len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir())),
            len(list(pathlib.Path(f"/proc/{pid}/task").iterdir())))


class LoadCase(ServerCase):
    def is_quiet(self):
        return (self.server.metric("phalanx_num_requests_running") == 0 and
                self.server.metric("phalanx_num_requests_waiting") == 0)

    def tearDown(self):
        self.assertTrue(wait_for(self.is_quiet), self.server.get("/metrics").body.decode())


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
        self.assertTrue(wait_for(lambda: "does not read" in self.server.err))
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
        self.assertTrue(wait_for(lambda: files_and_threads(pid) <= before),
                        (files_and_threads(pid), before))


class Gone(LoadCase):
    WORDS = SLOWLY  # nothing ends by itself

    def check_frees(self, come_and_go):
        """Within a second."""
        def seconds():
            come_and_go()
            return seconds_until(self.is_quiet)
        self.assertLess(least_of(seconds, 1 * SLOW), 1 * SLOW)

    def test_a_user_that_goes_away_frees_what_ran_for_it(self):
        def leave_after(taken):
            stream = self.server.stream("/v1/completions", {**BODY, "max_tokens": 1900})
            for _ in range(taken):
                next(stream)
            stream.close()
        for taken in (1, 5):
            self.check_frees(lambda n=taken: leave_after(n))

    def test_one_that_waits_for_a_whole_answer_and_goes_away_frees_too(self):
        def leave():
            connection = self.server.connect()
            connection.request("POST", "/v1/completions",
                               '{"prompt": "a", "max_tokens": 1900, "ignore_eos": true}')
            self.assertTrue(wait_for(lambda: not self.is_quiet()))
            connection.close()
        self.check_frees(leave)


class ManyPrompts(ServerCase):
    """So many texts in one request that others would notice, were they read in one go."""
    WORDS = ("--max-queue", 2048, "--disable-log-requests")

    def texts(self):
        """No word twice, in no two requests: what has been read before is read faster."""
        return ["".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=2000)) for _ in range(2000)]

    def in_flight(self):
        return self.server.metric("phalanx_sequences_in_flight")

    def n_answered_beside(self, path, field):
        """How many requests of somebody else are answered while one with all these texts is
        read, which is refused for the last one."""
        body, n = {field: self.texts() + ["x " * 4000]}, 0
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            answer = pool.submit(self.server.post, path, body)
            while not answer.done():
                n += self.in_flight() > 0
        error = self.check_error(answer.result(), 400, field)
        self.assertEqual(error["code"], "context_length_exceeded")
        return n

    def test_are_read_between_the_requests_of_others(self):
        for path, field in (("/v1/completions", "prompt"), ("/v1/embeddings", "input")):
            with self.subTest(path):
                # Few are asked beside it by a client that stands still.
                self.assertTrue(any(self.n_answered_beside(path, field) > 10
                                    for _ in range(TRIES)))

    def test_are_read_no_further_when_nobody_waits(self):
        def leave():
            connection = self.server.connect()
            connection.request("POST", "/v1/embeddings", json.dumps({"input": self.texts()}),
                               {"Content-Type": "application/json"})
            self.assertTrue(wait_for(lambda: self.in_flight() > 0))
            connection.close()
            return seconds_until(lambda: self.in_flight() == 0)
        self.assertLess(least_of(leave, 2 * SLOW), 2 * SLOW)

    def test_are_read_to_the_end_when_the_server_drains(self):
        server = Server(*self.WORDS)
        self.addCleanup(server.kill)
        is_read = lambda: server.metric("phalanx_sequences_in_flight") > 0  # noqa: E731
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            for _ in range(TRIES):
                answer = pool.submit(server.post, "/v1/completions",
                                     {"prompt": self.texts() + ["x " * 4000]})
                self.assertTrue(wait_for(lambda a=answer: is_read() or a.done()))
                if not answer.done():  # else it was read while this test stood still
                    break
            self.assertEqual(server.stop(), 0)
            self.check_error(answer.result(), 400, "prompt")


if __name__ == "__main__":
    threading.stack_size(1 << 19)
    sys.exit(unittest.main())

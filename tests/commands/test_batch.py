"""phalanx batch: files of OpenAI requests, answers in their order, errors, journal."""
import json
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

from common import DEMO, PHALANX, SLOWLY, phalanx
from test_processes import wait_for

COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"


def request(custom_id, url=COMPLETIONS, method="POST", **body):
    return {"custom_id": custom_id, "method": method, "url": url, "body": body}


def story(i, **more):
    return request(f"story-{i}", prompt=f"Once upon a time {i}", max_tokens=6, **more)


class BatchCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="phalanx-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.input, self.output = self.folder / "in.jsonl", self.folder / "out.jsonl"
        self.journal = self.folder / "out.jsonl.journal"

    def write(self, *requests):
        """The lines of the input: objects, or texts as they are."""
        lines = [r if isinstance(r, str) else json.dumps(r) for r in requests]
        self.input.write_text("\n".join(lines) + "\n")

    def words(self, *more):
        return ("batch", DEMO, "-i", self.input, "-o", self.output, *more)

    def run_batch(self, *more, code=0):
        """The objects of the output."""
        result = phalanx(*self.words(*more))
        self.assertEqual(result.code, code, result.err)
        self.err = result.err
        return [json.loads(line) for line in self.output.read_text().splitlines()]

    def refused(self, message, *words, code=2):
        result = phalanx(*words)
        self.assertEqual(result.code, code, result.err)
        self.assertIn(message, result.err)


class Answers(BatchCase):
    def test_answers_have_the_form_of_openai_and_the_order_of_the_requests(self):
        chat = request("chat", CHAT, messages=[{"role": "user", "content": "Hello"}], max_tokens=5)
        self.write(*(story(i, n=1 + i % 3) for i in range(20)), chat)
        answers = self.run_batch()
        self.assertEqual([a["custom_id"] for a in answers],
                         [f"story-{i}" for i in range(20)] + ["chat"])
        for answer in answers:
            self.assertEqual(set(answer), {"id", "custom_id", "response", "error"})
            self.assertRegex(answer["id"], "^batch_req_[0-9a-f]{32}$")
            self.assertEqual(answer["response"]["status_code"], 200)
            self.assertRegex(answer["response"]["request_id"], "^req_[0-9a-f]{32}$")
            self.assertIsNone(answer["error"])
        self.assertEqual(len({a["id"] for a in answers}), 21)
        bodies = [a["response"]["body"] for a in answers]
        self.assertEqual([len(b["choices"]) for b in bodies[:3]], [1, 2, 3])
        self.assertEqual(bodies[0]["object"], "text_completion")
        self.assertEqual(bodies[0]["id"], "cmpl-" + answers[0]["id"].removeprefix("batch_req_"))
        self.assertEqual(bodies[20]["object"], "chat.completion")
        self.assertEqual(bodies[20]["choices"][0]["message"]["role"], "assistant")
        self.assertFalse(self.journal.exists())
        self.assertIn("21 requests, 21 answered, 0 failed", self.err)

    def test_a_batch_has_the_same_answers_each_time_at_any_scale(self):
        self.write(*(story(i, temperature=1, n=2) for i in range(12)))

        def without_times(*more):
            for answer in (answers := self.run_batch("--restart", *more)):
                answer["response"]["body"].pop("created")
            return answers

        first = without_times()
        texts = [a["response"]["body"]["choices"][0]["text"] for a in first]
        self.assertGreater(len(set(texts)), 1)  # seeds differ by line
        self.assertEqual(without_times("--max-num-seqs", 2), first)
        self.assertEqual(without_times("-dp", 2), first)
        self.assertNotEqual(without_times("--seed", 5), first)

    def test_a_seed_of_the_request_is_the_one_that_counts(self):
        self.write(story(1, temperature=1, seed=7), story(2, temperature=1, seed=7) | {"body": story(
            1, temperature=1, seed=7)["body"]})
        one, two = (a["response"]["body"]["choices"] for a in self.run_batch())
        self.assertEqual(one, two)

    def test_vectors_and_tokens_are_answers_too(self):
        self.write(request("e", "/v1/embeddings", input=["one", "two"]),
                   request("t", "/tokenize", prompt="one two"))
        vectors, tokens = (a["response"]["body"] for a in self.run_batch())
        self.assertEqual([v["index"] for v in vectors["data"]], [0, 1])
        self.assertGreater(tokens["count"], 1)

    def test_the_name_of_the_model_is_checked(self):
        self.write(story(0, model="mine"), story(1, model="yours"))
        good, bad = self.run_batch("--served-model-name", "mine")
        self.assertEqual(good["response"]["body"]["model"], "mine")
        self.assertEqual(bad["response"]["status_code"], 404)
        self.assertEqual(bad["error"]["code"], "model_not_found")


class BadLines(BatchCase):
    LINES = (story(0), "{not json", story(0) | {"custom_id": "late", "url": "/v1/nowhere"},
             story(0), story(4, stream=True), '{"custom_id": "x", "method": "GET"}',
             story(6, temperature=-1), "", story(7))
    # custom_id, and the code of the error, of what these lines become
    WANT = (("story-0", None), (None, "invalid_json_line"), ("late", "invalid_url"),
            ("story-0", "duplicate_custom_id"), ("story-4", "invalid_request"),
            ("x", "invalid_request"), ("story-6", "400"), ("story-7", None))

    def check(self, answers, want):
        found = [(a["custom_id"], a["error"] and str(a["error"]["code"])) for a in answers]
        self.assertEqual(found, list(want))

    def test_each_bad_line_is_one_error_and_the_others_are_answered(self):
        self.write(*self.LINES)
        answers = self.run_batch()
        self.check(answers, self.WANT)
        self.assertIn("line 2", answers[1]["error"]["message"])
        self.assertIsNone(answers[1]["response"])
        self.assertEqual(answers[6]["response"]["status_code"], 400)
        self.assertIn("temperature", answers[6]["error"]["message"])
        self.assertIn("8 requests, 2 answered, 6 failed", self.err)

    def test_errors_may_have_a_file_of_their_own(self):
        self.write(*self.LINES)
        errors = self.folder / "errors.jsonl"
        good = self.run_batch("--error-file", errors)
        self.check(good, (w for w in self.WANT if w[1] is None))
        bad = [json.loads(line) for line in errors.read_text().splitlines()]
        self.check(bad, (w for w in self.WANT if w[1] is not None))
        self.write(story(0))
        self.run_batch("--error-file", errors)
        self.assertEqual(errors.read_text(), "")

    def test_they_fail_the_command_when_it_is_strict(self):
        self.write(*self.LINES)
        self.check(self.run_batch("--strict", code=2), self.WANT)
        self.assertIn("6 of 8 requests failed", self.err)

    def test_a_line_that_is_too_long_is_an_error_with_its_name(self):
        self.write(story(0), story(1, padding="x" * (16 << 20)), story(2))
        self.check(self.run_batch(), (("story-0", None), ("story-1", "line_too_long"),
                                      ("story-2", None)))


class Files(BatchCase):
    def test_what_is_wrong_with_files_is_told_before_anything_runs(self):
        self.refused("no requests: give a file with -i", "batch", DEMO, "-o", self.output)
        self.refused("nowhere to write to", "batch", DEMO, "-i", self.input)
        self.refused("No such file", *self.words())
        self.input.write_text("\n\n")
        self.refused("no requests", *self.words())
        self.write(story(0))
        self.refused("are one file", "batch", DEMO, "-i", self.input, "-o", self.input)
        self.refused("No such file", *self.words("--error-file", self.folder / "none" / "e"))
        self.refused("want a file", *self.words("--error-file", "-"))
        self.refused("want a file", *self.words("--error-file", ""))
        self.refused("no requests", "batch", DEMO, "-i", "", "-o", self.output)
        self.refused("nowhere to write to", "batch", DEMO, "-i", self.input, "-o", "")
        self.journal.write_text("my diary")
        self.refused("no journal of a batch", *self.words())
        self.assertEqual(self.journal.read_text(), "my diary")
        self.assertFalse(self.output.exists())

    def test_two_names_of_one_file_are_seen_also_where_there_is_none_yet(self):
        self.write(story(0))
        same = self.folder / "." / ".." / self.folder.name / self.output.name
        for option in "--error-file", "--journal":
            self.refused(f"--output-file and {option} are one file", *self.words(option, same))
        self.assertEqual(list(self.folder.iterdir()), [self.input])

    def test_what_is_written_on_the_way_is_no_file_that_was_given(self):
        unfinished = self.folder / "out.jsonl.partial"
        self.write(story(0))
        self.input.rename(unfinished)
        self.refused("--input-file and the unfinished --output-file are one file",
                     "batch", DEMO, "-i", unfinished, "-o", self.output)
        self.assertNotEqual(unfinished.read_text(), "")

    def test_pipes_are_answered_in_order_and_said_not_to_go_on(self):
        self.write(*(story(i) for i in range(20)))
        want = self.run_batch()
        text = self.input.read_bytes()
        for out in ("-", self.output):
            result = phalanx("batch", DEMO, "-i", "-", "-o", out, stdin=text)
            self.assertEqual(result.code, 0, result.err)
            self.assertIn("cannot go on after a stop", result.err)
            lines = (result.out if out == "-" else self.output.read_text()).splitlines()
            self.assertEqual([json.loads(line)["response"]["body"]["choices"] for line in lines],
                             [a["response"]["body"]["choices"] for a in want])

    def test_quiet_says_nothing(self):
        self.write(story(0))
        self.run_batch("--quiet")
        self.assertEqual(self.err, "")


class Journal(BatchCase):
    N = 300

    def stop_midway(self, words=None):
        """Ends the command with a part of the answers in the journal."""
        words = (*(words or self.words()), "--max-num-seqs", 4, *SLOWLY)  # a few after the other
        child = subprocess.Popen([str(PHALANX), *map(str, words)], stderr=subprocess.PIPE)
        self.addCleanup(child.stderr.close)
        begun = lambda: self.journal.exists() and self.journal.read_bytes().count(b"batch_req_") > 20
        self.assertTrue(wait_for(begun, 60))
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.wait(60), 130, child.stderr.read())
        self.assertFalse(self.output.exists())

    def test_a_batch_that_was_stopped_goes_on_and_has_the_same_bytes(self):
        self.write(*(story(i, temperature=1) for i in range(self.N)))
        self.stop_midway()
        answers = self.run_batch("-dp", 2)
        self.assertRegex(self.err, rf"\d+ of {self.N} requests are answered already")
        self.assertEqual([a["custom_id"] for a in answers], [f"story-{i}" for i in range(self.N)])
        created = {a["response"]["body"]["created"] for a in answers}
        self.assertEqual(len(created), 1)  # of when it was begun

    def test_it_goes_on_only_as_it_was_begun(self):
        self.write(*(story(i) for i in range(self.N)))
        self.stop_midway()
        before = self.journal.read_bytes()
        self.refused("begun with --seed not given, and now it is \"3\"", *self.words("--seed", 3))
        self.write(*(story(i) for i in range(self.N + 1)))
        self.refused("the input has changed", *self.words())
        self.assertEqual(self.journal.read_bytes(), before)
        answers = self.run_batch("--restart")
        self.assertEqual(len(answers), self.N + 1)

    def test_it_goes_on_only_with_the_files_that_make_prompts_and_vectors(self):
        model = self.folder / "model"
        shutil.copytree(DEMO, model)
        self.write(*(story(i) for i in range(self.N)))
        words = ("batch", model, "-i", self.input, "-o", self.output, "--served-model-name", "m")
        self.stop_midway(words)
        for name in "additional_chat_templates/tool_use.jinja", "1_Pooling/config.json":
            path = model / name
            path.parent.mkdir()
            path.write_text("{}")
            self.refused("the batch was begun with " + name.replace("/tool_use.jinja", ""), *words)
            shutil.rmtree(path.parent)

    def test_one_command_at_a_time_writes_to_a_journal(self):
        self.write(*(story(i, ignore_eos=True) for i in range(self.N)))
        child = subprocess.Popen([str(PHALANX), *map(str, self.words(*SLOWLY))],
                                 stderr=subprocess.DEVNULL)
        self.addCleanup(child.wait)
        self.addCleanup(child.terminate)
        self.assertTrue(wait_for(self.journal.exists, 60))
        self.refused("another batch is writing to it", *self.words())


if __name__ == "__main__":
    unittest.main()

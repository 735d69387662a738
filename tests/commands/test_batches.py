"""phalanx generate over many prompts: files of prompts, order, output as it comes, progress."""
import json
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import unittest

from common import DEMO, PHALANX, SANITIZED, TRIES, generate_json, phalanx
from terminal import Terminal
from test_processes import catches, wait_for

WORDS = ("--max-tokens", 8, "--seed", 3)


class PromptsFile(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="phalanx-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def write(self, name, text):
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def answers(self, path, *words, stdin=b""):
        """What --jsonl prints, one dict a prompt."""
        result = phalanx("generate", DEMO, "--prompts-file", path, "--jsonl", *WORDS, *words,
                         stdin=stdin)
        self.assertEqual(result.code, 0, result.err)
        return [json.loads(line) for line in result.out.splitlines()]

    def refused(self, path, message, *words):
        result = phalanx("generate", DEMO, "--prompts-file", path, *words)
        self.assertEqual(result.code, 2, result.err)
        self.assertEqual(result.out, "")
        self.assertIn(message, result.err)

    def test_each_line_is_a_prompt_and_blank_lines_are_none(self):
        path = self.write("p.txt", "Once upon a time\n\n  \nThe fox\r\nHello there")
        answers = self.answers(path)
        prompts = ["Once upon a time", "The fox", "Hello there"]
        self.assertEqual([a["prompt"] for a in answers], prompts)
        want = generate_json(*(w for p in prompts for w in ("-p", p)), *WORDS)
        self.assertEqual(answers, want)  # the same objects as --json prints

    def test_lines_of_json_are_texts_ids_or_objects(self):
        path = self.write("p.jsonl", '"The \\"fox\\""\n[5, 6]\n{"prompt": "Hi", "more": {"x": [1]}}\n'
                                     '{"prompt": [7, 8]}\n{"prompt_token_ids": [9], "prompt": "x"}\n')
        answers = self.answers(path)
        self.assertEqual([a["prompt"] for a in answers], ['The "fox"', None, "Hi", None, None])
        self.assertEqual([a["prompt_token_ids"] for a in answers[1::2]], [[5, 6], [7, 8]])
        self.assertEqual(answers[4]["prompt_token_ids"], [9])
        self.assertEqual(answers[0]["request_id"], "0")

    def test_an_object_in_the_first_line_means_json_whatever_the_name(self):
        text = '{"prompt": "The fox"}\n"Hi"\n'
        self.assertEqual([a["prompt"] for a in self.answers(self.write("p", text))],
                         ["The fox", "Hi"])
        plain = self.answers(self.write("q", '"The fox"\n{"prompt": "Hi"}\n'))
        self.assertEqual([a["prompt"] for a in plain], ['"The fox"', '{"prompt": "Hi"}'])

    def test_a_byte_order_mark_is_no_part_of_the_first_line(self):
        mark = b"\xef\xbb\xbf"
        for name, text in (("a", b"fox\nbird\n"), ("b", b'{"prompt": "fox"}\n"bird"\n'),
                           ("c.jsonl", b'"fox"\n"bird"\n'), ("d", b"\nfox\nbird\n")):
            results = self.answers(self.write(name, mark + text))
            self.assertEqual([r["prompt"] for r in results], ["fox", "bird"], name)
        # further on it is what it is
        results = self.answers(self.write("e", b"fox\n" + mark + b"bird\n"))
        self.assertEqual(results[1]["prompt"], "\ufeffbird")

    def test_standard_input_is_a_file_too(self):
        text = b"The fox\nHello there\n"
        path = self.write("p", text)
        self.assertEqual(self.answers("-", stdin=text), self.answers(path))

    def test_the_prompts_of_the_command_line_come_first(self):
        path = self.write("p", "The fox\n")
        answers = self.answers(path, "-p", "Hi", "--prompt-ids", "5,6")
        self.assertEqual([a["prompt"] for a in answers], ["Hi", None, "The fox"])

    def test_many_prompts_keep_their_order_and_change_no_answer(self):
        prompts = [f"The fox number {i} went to" for i in range(150)]
        path = self.write("p", "\n".join(prompts))
        words = ("--max-num-seqs", 4, "--max-tokens", 12, "--n", 2, "--temperature", 1)
        answers = self.answers(path, *words)
        self.assertEqual([a["prompt"] for a in answers], prompts)
        self.assertEqual([a["request_id"] for a in answers], [str(i) for i in range(150)])
        for i in (0, 77, 149):
            (alone,) = generate_json("-p", prompts[i], *WORDS, *words)
            self.assertEqual([o["token_ids"] for o in answers[i]["outputs"]],
                             [o["token_ids"] for o in alone["outputs"]])

    def test_a_text_for_each_answer_with_a_blank_line_between(self):
        path = self.write("p", "The fox\nHello there\n")
        result = phalanx("generate", DEMO, "--prompts-file", path, *WORDS)
        texts = [a["outputs"][0]["text"] for a in self.answers(path)]
        self.assertEqual(result.out, "\n\n".join(texts) + "\n")

    def test_a_wrong_line_is_named_before_anything_runs(self):
        self.refused(self.folder / "none", "none: No such file")
        self.refused(self.folder, "a folder")
        self.refused(self.write("a", "\n\n"), "a: no prompts")
        self.refused(self.write("b", b"fox\n\nab\xff\n"), "b:3: no UTF-8 at byte 3")
        self.refused(self.write("c", b"fox\na\0b\n"), "c:2: a NUL byte")
        for line, message in (("{}", "neither prompt nor prompt_token_ids"),
                              ('{"prompt": 3}', "a prompt is a text or a list of token ids"),
                              ('{"prompt": ""}', "an empty prompt"),
                              ('{"prompt_token_ids": []}', "an empty list"),
                              ("[1, -2]", "item 1 of the list is no token id"),
                              ("[1.5]", "item 0 of the list is no token id"),
                              ('{"prompt": "x", "priority": "high"}', "priority"),
                              ("3", "a prompt is a text"), ("{", "d.jsonl:2: column 2: ")):
            self.refused(self.write("d.jsonl", '"fox"\n' + line + "\n"), "d.jsonl:2: ")
            self.refused(self.write("d.jsonl", '"fox"\n' + line + "\n"), message)

    def test_standard_input_has_one_meaning(self):
        self.refused("-", "standard input is a prompt already", "-p", "-")

    def test_a_prompt_the_model_cannot_take_fails_alone(self):
        path = self.write("p.jsonl", '"The fox"\n"' + "fox " * 80 + '"\n"Hi"\n[99999999]\n')
        result = phalanx("generate", DEMO, "--prompts-file", path, "--jsonl", *WORDS,
                         "--max-model-len", 64)
        self.assertEqual(result.code, 2)
        answers = [json.loads(line)["outputs"][0] for line in result.out.splitlines()]
        self.assertEqual([a["finish_reason"] for a in answers],
                         ["length", "error", "length", "error"])
        self.assertIn("maximum context length is 64 tokens", answers[1]["error"])
        self.assertIn("no token of this model", answers[3]["error"])
        self.assertIn("prompt 1: ", result.err)  # the first one is the error of the command
        self.assertIn("p.jsonl:2: ", result.err)

    def test_progress_is_a_line_for_every_tenth_and_quiet_is_none(self):
        path = self.write("p", "The fox\n" * 40)
        told = phalanx("generate", DEMO, "--prompts-file", path, "--jsonl", *WORDS)
        lines = told.err.splitlines()
        self.assertGreater(len(lines), 2)
        self.assertLessEqual(len(lines), 10)
        self.assertRegex(lines[0], r"^\d+ %: \d+/40 prompts, \d+ tokens/s, \d+:\d\d left$")
        self.assertRegex(lines[-1], r"^40/40 prompts, \d+ tokens/s, \d+:\d\d in all$")
        quiet = phalanx("generate", DEMO, "--prompts-file", path, "--jsonl", *WORDS, "--quiet")
        self.assertEqual(quiet.err, "")
        self.assertEqual(quiet.out, told.out)


class Bar(unittest.TestCase):
    def test_a_terminal_shows_a_bar_and_whole_lines(self):
        # It is drawn a few times a second, of which a machine may stand still.
        self.assertTrue(any(self.whole_lines_and_a_bar() for _ in range(TRIES)))

    def whole_lines_and_a_bar(self):
        """Whether the bar was seen; the lines must have been."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "p")
            path.write_text("The fox\n" * 400)
            screen = Terminal([PHALANX, "generate", DEMO, "--prompts-file", path, "--jsonl",
                               "--ignore-eos", "--max-tokens", 24], columns=2000)
            self.addCleanup(screen.close)
            seen = screen.expect("in all")
            self.assertEqual(screen.wait(), 0)
        self.assertRegex(seen, r"400/400 prompts, \d+ tokens/s, \d+:\d\d in all$")
        lines = [line.rpartition("\r")[2] for line in seen.replace("\r\n", "\n").split("\n")]
        answers = [json.loads(line) for line in lines[:-1]]
        self.assertEqual([a["request_id"] for a in answers], [str(i) for i in range(400)])
        return re.search(r"\[#+\.+\] \d+/400 prompts, \d+ tokens/s, \d+:\d\d left", seen)


class AsTheyCome(unittest.TestCase):
    def start(self, *words):
        run = subprocess.Popen([PHALANX, "generate", DEMO, *map(str, words)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)

        def end():
            run.kill()
            run.wait()
            for stream in (run.stdin, run.stdout, run.stderr):
                stream.close()

        self.addCleanup(end)
        return run

    def test_an_answer_is_there_before_the_next_prompt_is_written(self):
        run = self.start("--prompts-file", "-", "--jsonl", "--quiet", *WORDS)
        for number, prompt in enumerate((b"The fox\n", b"Hello there\n")):
            run.stdin.write(prompt)
            run.stdin.flush()
            answer = json.loads(run.stdout.readline())
            self.assertEqual(answer["request_id"], str(number))
        run.stdin.close()
        self.assertEqual(run.wait(timeout=60), 0)

    def test_control_c_keeps_what_is_complete(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "p.jsonl")
            path.write_text('{"prompt": "The fox"}\n' * 5000)
            run = self.start("--prompts-file", path, "--json", "--quiet", "--ignore-eos",
                             "--max-tokens", 64)
            begin = run.stdout.read1(64)
            run.send_signal(signal.SIGINT)
            text = begin + run.stdout.read()
            self.assertEqual(run.wait(timeout=60), 130)
        answers = json.loads(text)  # a whole list
        self.assertGreater(len(answers), 0)
        self.assertLess(len(answers), 5000)
        for answer in answers:
            self.assertEqual(len(answer["outputs"][0]["token_ids"]), 64)
            self.assertEqual(answer["outputs"][0]["finish_reason"], "length")

    def test_control_c_waits_a_moment_for_a_reader_that_is_slow(self):
        def is_whole():
            """Not for one that stands still for longer than that."""
            try:
                return len(json.loads(self.read_slowly_after_control_c())) < 300
            except json.JSONDecodeError:
                return False
        self.assertTrue(any(is_whole() for _ in range(TRIES)))

    def read_slowly_after_control_c(self):
        prompts = [word for _ in range(300) for word in ("-p", "Once")]
        run = self.start(*prompts, "--json", "--quiet", "--ignore-eos", "--max-tokens", 64)
        begin = run.stdout.read1(64)
        time.sleep(1)  # meanwhile the pipe is full, and an answer waits in the middle
        run.send_signal(signal.SIGINT)
        self.assertTrue(wait_for(lambda: not catches(run.pid, signal.SIGINT), 30))
        time.sleep(0.3)
        text = begin + run.stdout.read()
        self.assertEqual(run.wait(timeout=60), 130)
        return text

    def test_a_reader_that_has_enough_ends_it(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "p")
            path.write_text("The fox\n" * 100000)
            run = self.start("--prompts-file", path, "--jsonl", "--quiet", *WORDS)
            run.stdout.readline()
            run.stdout.close()
            begin = time.monotonic()
            self.assertEqual(run.wait(timeout=60), 74)
            self.assertLess(time.monotonic() - begin, 20)

    def test_memory_does_not_grow_with_the_number_of_prompts(self):
        peaks = []
        for n in (400, 6000):  # more than a pipe holds, so it lives when the first line is read
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder, "p.jsonl")
                path.write_text('{"prompt": "The fox and the bird"}\n' * n)
                run = self.start("--prompts-file", path, "--jsonl", "--quiet", "--max-tokens", 4)
                n_lines, peak = 0, 0
                for _ in run.stdout:
                    n_lines += 1
                    if n_lines % 100 == 1:  # it may have ended: the last lines wait in the pipe
                        status = pathlib.Path(f"/proc/{run.pid}/status").read_text()
                        if "VmHWM:" in status:
                            peak = int(status.split("VmHWM:")[1].split()[0])
                self.assertEqual(run.wait(timeout=200), 0)
                self.assertEqual(n_lines, n)
                self.assertGreater(peak, 0)
                peaks.append(peak)
        # 5,800 prompts more, held whole, would be well over 20 MB
        if not SANITIZED:
            self.assertLess(peaks[1], peaks[0] + 8000)


if __name__ == "__main__":
    unittest.main()

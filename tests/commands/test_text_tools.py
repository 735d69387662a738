"""phalanx tokenize and phalanx detokenize: one JSON value a line in, one out."""
import json
import os
import signal
import subprocess
import threading
import unittest

from common import PHALANX, SOURCE, ModelCase, phalanx

DATA = SOURCE.parent / "shared" / "data" / "tokenizers"
TEXTS = ["", "Once upon a time", " two  spaces\n\n", "caf\u00e9 \U0001f600 \u4f60\u597d", "a\u0000b"]


def lines(values):
    return "".join(json.dumps(value) + "\n" for value in values).encode()


def answers(command, model, values, *options):
    result = phalanx(command, model, *options, stdin=lines(values))
    if result.code != 0:
        raise AssertionError(f"exit {result.code}: {result.err}")
    return [json.loads(line) for line in result.out.split("\n")[:-1]]


def feed(descriptor, line):
    """Writes the line for ever, as far as anybody reads."""
    try:
        while True:
            os.write(descriptor, line * 100)
    except BrokenPipeError:
        os.close(descriptor)


class TextTools(ModelCase):
    def refused(self, command, stdin, *words):
        result = phalanx(command, self.model, stdin=stdin)
        self.assertEqual(result.code, 2, result.err)
        for word in words:
            self.assertIn(word, result.err)
        return result.out

    def test_texts_come_back(self):
        ids = answers("tokenize", self.model, TEXTS)
        self.assertEqual(len(ids), len(TEXTS))
        for text, back in zip(TEXTS, answers("detokenize", self.model, ids)):
            self.assertTrue(back.endswith(text), (text, back))  # special tokens may stand before

    def test_no_input_gives_no_output(self):
        self.assertEqual(answers("tokenize", self.model, []), [])

    def test_a_wrong_line_is_named_and_those_before_it_are_answered(self):
        out = self.refused("tokenize", b'"a"\n{"a":1}\n"b"\n', "line 2")
        self.assertEqual(len(out.splitlines()), 1)
        self.refused("tokenize", b'"a" "b"\n', "line 1")
        self.refused("tokenize", b'"\xff"\n', "line 1", "UTF-8")
        self.refused("detokenize", b'[1]\n[1,"2"]\n', "line 2", "item 1")
        self.refused("detokenize", b"[1,\n", "line 1 of the input: column 4: ")
        self.refused("detokenize", b"[-1]\n", "line 1")
        self.refused("detokenize", b"[1000000000]\n", "line 1")

    def test_ctrl_c_ends_it_while_input_comes(self):
        reader, writer = os.pipe()
        with subprocess.Popen([str(PHALANX), "tokenize", str(self.model)], stdin=reader,
                              stdout=subprocess.PIPE) as child:
            os.close(reader)
            feeder = threading.Thread(target=feed, args=(writer, b'"one line"\n'))
            feeder.start()
            child.stdout.read(1)  # it is at work
            child.send_signal(signal.SIGINT)
            give_up = threading.Timer(20, child.kill)
            give_up.start()
            while child.stdout.read(1 << 16):
                pass
            give_up.cancel()
            feeder.join()
            self.assertEqual(child.wait(), -signal.SIGINT)

    def test_a_model_without_tokenizer_is_refused(self):
        (self.model / "tokenizer.json").unlink()
        self.refused("tokenize", b'"a"\n', "tokenizer.json")


@unittest.skipUnless(DATA.exists(), "../shared/data/tokenizers is not here")
class RealVocabularies(unittest.TestCase):
    def test_ids_and_texts_are_those_of_the_reference_library(self):
        texts = json.loads((DATA / "texts.json").read_text())
        for name in "qwen2", "llama-3.1", "mpt", "phi-2":
            with self.subTest(name):
                want = [json.loads(line)
                        for line in (DATA / name / "expected.jsonl").read_text().splitlines()]
                ids = [one["ids"] for one in want]
                back = [text if one["decoded"] is None else one["decoded"]
                        for text, one in zip(texts, want)]
                self.assertEqual(answers("tokenize", DATA / name, texts), ids)
                self.assertEqual(answers("detokenize", DATA / name, ids), back)
                without = [one["ids"] if one["ids_nospecial"] is None else one["ids_nospecial"] for one in want]
                self.assertEqual(answers("tokenize", DATA / name, texts, "--add-special-tokens=false"), without)


if __name__ == "__main__":
    unittest.main()

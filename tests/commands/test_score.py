"""phalanx score: vectors of a model, and what a head makes of them."""
import json
import math
import pathlib
import struct
import tempfile
import unittest

from common import DEMO, HAS_MPI, ModelCase, generate_json, phalanx

TEXTS = ("The fox went home.", "Once upon a time there was a bird", "x")


def score(*words, model=DEMO, texts=TEXTS):
    """What it prints, one dict a text."""
    result = phalanx("score", model, *(w for t in texts for w in ("-p", t)), *words)
    if result.code != 0:
        raise AssertionError(f"exit {result.code}: {result.err}")
    return [json.loads(line) for line in result.out.splitlines()]


def vectors(*words, **more):
    return [line["embedding"] for line in score(*words, **more)]


class Vectors(unittest.TestCase):
    def test_a_text_has_a_vector_of_length_one(self):
        lines = score()
        self.assertEqual([line["index"] for line in lines], [0, 1, 2])
        for line in lines:
            self.assertEqual(len(line["embedding"]), 256)
            self.assertAlmostEqual(math.hypot(*line["embedding"]), 1, places=6)
        (whole,) = generate_json("-p", TEXTS[0], "--max-tokens", 1)
        self.assertEqual(lines[0]["usage"]["prompt_tokens"], len(whole["prompt_token_ids"]))

    def test_without_normalization_it_has_its_own_length(self):
        for plain, one in zip(vectors("--no-normalize"), vectors()):
            length = math.hypot(*plain)
            self.assertNotAlmostEqual(length, 1, places=2)
            for a, b in zip(plain, one):
                self.assertAlmostEqual(a / length, b, places=7)

    def test_the_mean_is_that_of_all_tokens(self):
        mean = vectors("--pooling", "mean", "--no-normalize", texts=TEXTS[:1])[0]
        (whole,) = generate_json("-p", TEXTS[0], "--max-tokens", 1)
        ids = whole["prompt_token_ids"]
        last = [vectors("--no-normalize", "--prompt-ids", ",".join(map(str, ids[:n])), texts=())[0]
                for n in range(1, len(ids) + 1)]
        for i, got in enumerate(mean):
            self.assertAlmostEqual(got, sum(v[i] for v in last) / len(ids), places=4)

    def test_scale_changes_no_bit(self):
        want = vectors("--no-normalize")
        for words in (("--max-num-seqs", 1), ("--max-num-batched-tokens", 3, "--kernels", "scalar"),
                      *([("-tp", 3)] if HAS_MPI else [])):
            self.assertEqual(vectors("--no-normalize", *words), want, words)

    def test_texts_come_from_files_too(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "p")
            path.write_text("\n".join(TEXTS))
            self.assertEqual(score("--prompts-file", path, "--quiet", texts=()), score())

    def test_what_a_model_has_not_is_refused(self):
        for task in ("classify", "reward"):
            result = phalanx("score", DEMO, "-p", "x", "--task", task)
            self.assertEqual(result.code, 2)
            self.assertIn(f"--task {task}: this model has no head that scores", result.err)
        self.assertEqual(phalanx("score", DEMO).code, 2)
        self.assertIn("no prompt", phalanx("score", DEMO).err)

    def test_a_text_that_is_too_long_fails_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "p")
            path.write_text("The fox\n" + "fox " * 100 + "\nThe bird\n")
            result = phalanx("score", DEMO, "--prompts-file", path, "--max-model-len", 64)
        self.assertEqual(result.code, 2)
        lines = [json.loads(line) for line in result.out.splitlines()]
        self.assertEqual(["embedding" in line for line in lines], [True, False, True])
        self.assertIn("maximum context length is 64 tokens", lines[1]["error"])
        self.assertIn("text 1: ", result.err)


class Makers(ModelCase):
    """sentence-transformers' 1_Pooling/config.json."""

    def pools(self, **config):
        (self.model / "1_Pooling").mkdir(exist_ok=True)
        (self.model / "1_Pooling" / "config.json").write_text(json.dumps(config))

    def test_the_makers_of_a_model_say_how_it_pools(self):
        mean, last = vectors("--pooling", "mean"), vectors("--pooling", "last")
        self.assertEqual(vectors(model=self.model), last)
        self.pools(word_embedding_dimension=256, pooling_mode_mean_tokens=True)
        self.assertEqual(vectors(model=self.model), mean)
        self.assertEqual(vectors("--pooling", "last", model=self.model), last)
        self.pools(pooling_mode_mean_tokens=False, pooling_mode_lasttoken=True)
        self.assertEqual(vectors(model=self.model), last)

    def test_what_is_not_there_is_refused(self):
        self.pools(pooling_mode_cls_token=True)
        result = phalanx("score", self.model, "-p", "x")
        self.assertEqual(result.code, 2)
        self.assertIn("1_Pooling/config.json: neither the mean nor the last token", result.err)
        self.pools(pooling_mode_mean_tokens="yes")
        self.assertIn("pooling_mode_mean_tokens", phalanx("score", self.model, "-p", "x").err)


class Heads(ModelCase):
    def add_head(self, rows, **config):
        """A model with a head of these rows, bfloat16, over the vectors of the demo."""
        header, data = self.read_tensors()
        raw = b"".join(struct.pack("<f", x)[2:] for row in rows for x in row)
        header["score.weight"] = {"dtype": "BF16", "shape": [len(rows), len(rows[0])],
                                  "data_offsets": [len(data), len(data) + len(raw)]}
        self.write_tensors(header, data + raw)
        self.edit_config(architectures=["LlamaForSequenceClassification"], num_labels=len(rows),
                         **config)

    @staticmethod
    def rows(n):
        return [[((i * 7 + k * 3) % 16 - 8) / 64 for i in range(256)] for k in range(n)]

    def expected(self, n):
        """The rows over the vectors, in float64."""
        return [[sum(a * b for a, b in zip(row, v)) for row in self.rows(n)]
                for v in vectors("--no-normalize")]

    def test_one_output_is_a_reward(self):
        self.add_head(self.rows(1))
        for line, (want,) in zip(score(model=self.model), self.expected(1)):
            self.assertAlmostEqual(line["score"], want, delta=0.02 + 0.01 * abs(want))

    def test_several_outputs_are_labels_with_probabilities(self):
        self.add_head(self.rows(3), id2label={"0": "bad", "1": "so so", "2": "good"})
        names = ["bad", "so so", "good"]
        for line, plain in zip(score(model=self.model),
                               score("--task", "reward", model=self.model)):
            total = sum(math.exp(x) for x in plain["scores"])
            for p, x in zip(line["probs"], plain["scores"]):
                self.assertAlmostEqual(p, math.exp(x) / total, places=6)
            self.assertEqual(line["label"], names[line["probs"].index(max(line["probs"]))])

    def test_one_output_as_a_class_is_a_yes(self):
        self.add_head(self.rows(1))
        for line, plain in zip(score("--task", "classify", model=self.model),
                               score(model=self.model)):
            self.assertAlmostEqual(line["probs"][0], 1 / (1 + math.exp(-plain["score"])), places=6)

    def test_a_head_gives_no_vectors_and_looks_at_the_last_token(self):
        self.add_head(self.rows(2))
        for words, message in ((("--task", "embed"), "has a head with 2 outputs and no vectors"),
                               (("--pooling", "mean"), "looks at the last token")):
            result = phalanx("score", self.model, "-p", "x", *words)
            self.assertEqual(result.code, 2)
            self.assertIn(message, result.err)

    def test_a_head_writes_no_text(self):
        self.add_head(self.rows(2))
        result = phalanx("generate", self.model, "-p", "x")
        self.assertEqual(result.code, 2)
        self.assertIn("score", result.err)


if __name__ == "__main__":
    unittest.main()

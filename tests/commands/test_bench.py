"""phalanx bench: the numbers are there, in the words of vLLM's commands, and fit together."""
import json
import pathlib
import tempfile
import unittest

from common import DEMO, phalanx

LATENCY = ("bench", "latency", DEMO, "--num-iters", 3, "--num-iters-warmup", 1, "--batch-size", 2,
           "--input-len", 8, "--output-len", 6, "--quiet")
THROUGHPUT = ("bench", "throughput", DEMO, "--num-prompts", 12, "--input-len", 10,
              "--output-len", 4, "--quiet")


class Bench(unittest.TestCase):
    def run_bench(self, *words):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "out.json")
            result = phalanx(*words, "--output-json", path)
            self.assertEqual(result.code, 0, result.err)
            self.assertEqual(result.err, "")
            return result.out, json.loads(path.read_text())

    def test_latency(self):
        out, numbers = self.run_bench(*LATENCY)
        self.assertRegex(out, r"Avg latency: \d+\.\d+ seconds\n10% percentile latency: ")
        self.assertEqual(len(numbers["latencies"]), 3)
        self.assertAlmostEqual(numbers["avg_latency"], sum(numbers["latencies"]) / 3)
        self.assertEqual(set(numbers["percentiles"]), {"10", "25", "50", "75", "90", "99"})
        self.assertEqual(numbers["percentiles"]["50"], sorted(numbers["latencies"])[1])
        self.assertEqual(numbers["total_input_tokens"], 3 * 2 * 8)
        self.assertEqual(numbers["total_output_tokens"], 3 * 2 * 6)
        self.assertEqual(numbers["cached_tokens"], 0)  # the same prompts, and no cache
        for name in ("ttft", "tpot", "itl", "e2el"):
            self.assertGreater(numbers[name]["median_ms"], 0)
            self.assertGreaterEqual(numbers[name]["p99_ms"], numbers[name]["median_ms"])
        self.assertLessEqual(numbers["e2el"]["p99_ms"], 1e3 * max(numbers["latencies"]))

    def test_the_share_is_that_of_the_ceiling_that_is_printed(self):
        out, numbers = self.run_bench(*LATENCY)
        ceiling = numbers["ceiling"]
        self.assertGreater(ceiling["read_bytes_per_second"], 1e8)
        context = 8 + 6 / 2
        self.assertAlmostEqual(ceiling["bytes_per_token"], ceiling["weight_bytes"] +
                               context * ceiling["kv_bytes_per_position"])
        self.assertAlmostEqual(ceiling["tokens_per_second_at_batch_1"] * ceiling["bytes_per_token"],
                               ceiling["read_bytes_per_second"], delta=1)
        self.assertEqual(numbers["decode_sequences"], 2)
        bound = 2 * ceiling["tokens_per_second_at_batch_1"]
        self.assertAlmostEqual(numbers["decode_share_of_bound"],
                               numbers["decode_tokens_per_second"] / bound)
        self.assertRegex(out, r"decode +\S+ tokens/s of 2 sequences, \S+ % of 2 x the bound")

    def test_the_ceiling_counts_the_weights_of_the_file_once(self):
        size = (DEMO / "model.safetensors").stat().st_size
        for words in ((), ("--spec-model", DEMO.parent / "draft")):
            _, numbers = self.run_bench(*LATENCY, *words)
            self.assertAlmostEqual(numbers["ceiling"]["weight_bytes"] / size, 1, delta=0.02)

    def test_throughput(self):
        out, numbers = self.run_bench(*THROUGHPUT)
        self.assertRegex(out, r"Throughput: \S+ requests/s, \S+ total tokens/s, \S+ output tokens/s")
        self.assertEqual(numbers["num_requests"], 12)
        self.assertEqual(numbers["total_num_tokens"], 12 * 14)
        self.assertAlmostEqual(numbers["tokens_per_second"] * numbers["elapsed_time"], 12 * 14)
        self.assertAlmostEqual(numbers["requests_per_second"] * numbers["elapsed_time"], 12)

    def test_prompts_of_a_file_are_taken_again_where_they_are_too_few(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "p.jsonl")
            path.write_text('{"prompt_token_ids": [5, 6, 7]}\n{"prompt_token_ids": [8]}\n')
            _, numbers = self.run_bench(*THROUGHPUT, "--num-prompts", 5, "--dataset", path)
        self.assertEqual(numbers["total_input_tokens"], 3 + 1 + 3 + 1 + 3)

    def test_what_came_from_the_cache_is_said(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "p.jsonl")
            path.write_text(json.dumps(list(range(8, 108))))
            out, numbers = self.run_bench(*THROUGHPUT, "--dataset", path, "--max-num-seqs", 1)
            self.assertEqual(numbers["total_input_tokens"], 1200)
            self.assertEqual(numbers["cached_tokens"], 11 * 96)  # whole blocks of 32, 11 times
            self.assertIn("cached      88.0 % of the tokens of prompts", out)
            out, numbers = self.run_bench(*THROUGHPUT, "--dataset", path,
                                          "--no-enable-prefix-caching")
            self.assertEqual(numbers["cached_tokens"], 0)
            self.assertNotIn("cached", out)

    def test_drafts_are_counted(self):
        out, numbers = self.run_bench(*LATENCY, "--spec-model", DEMO.parent / "draft",
                                      "--temperature", 0, "--output-len", 16)
        self.assertGreater(numbers["draft_tokens"], 0)
        self.assertRegex(out, r"drafts +\d+, of which \S+ % were right")

    def test_mistakes_are_named_before_anything_runs(self):
        for words, message in ((("--output-json", "/nowhere/x.json"), "--output-json: cannot write"),
                               (("--dataset", "/nowhere"), "--dataset: /nowhere: No such file"),
                               (("--output-len", 5000),
                                "context length is 2048 tokens. However, you requested 5000"),
                               (("--num-iters", 0), "outside 1 ..")):
            result = phalanx(*LATENCY, *words)
            self.assertEqual(result.code, 2, words)
            self.assertIn(message, result.err)

    def test_bench_alone_says_what_there_is(self):
        for words in (("bench",), ("bench", "latencies")):
            result = phalanx(*words)
            self.assertEqual((result.code, result.out), (2, ""))
            self.assertIn("phalanx bench throughput", result.err)
        result = phalanx("bench", "--help")
        self.assertEqual((result.code, result.err), (0, ""))
        self.assertIn("phalanx bench latency", result.out)


if __name__ == "__main__":
    unittest.main()

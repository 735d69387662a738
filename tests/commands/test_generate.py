"""phalanx generate: what a user gets, and that scale does not change a bit of it."""
import json
import os
import pathlib
import tempfile
import unittest
import unittest.mock

from common import DEMO, HAS_MPI, generate_json, phalanx


def identity(results):
    """Everything of a result that must not depend on the scale."""
    return [(r["prompt_token_ids"], [(o["token_ids"], o["logprobs"], o["text"])
                                     for o in r["outputs"]]) for r in results]


class Generate(unittest.TestCase):
    def test_text_goes_to_standard_output_and_nothing_else(self):
        result = phalanx("generate", DEMO, "-p", "Once upon a time", "--temperature", 0,
                         "--max-tokens", 12)
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual(result.err, "")
        self.assertTrue(result.out.endswith("\n"))
        again = generate_json("-p", "Once upon a time", "--temperature", 0, "--max-tokens", 12)
        self.assertEqual(result.out, again[0]["outputs"][0]["text"] + "\n")

    def test_json_has_the_whole_structure(self):
        (result,) = generate_json("-p", "Hello", "--max-tokens", 5, "--seed", 7, "--logprobs", 3,
                                  "--ignore-eos")
        self.assertEqual(result["prompt"], "Hello")
        self.assertEqual(result["seed"], 7)
        self.assertTrue(result["finished"])
        (choice,) = result["outputs"]
        self.assertEqual(len(choice["token_ids"]), 5)
        self.assertEqual(len(choice["logprobs"]), 5)
        self.assertEqual(choice["finish_reason"], "length")
        self.assertIsNone(choice["stop_reason"])
        total = 0
        for token, entry in zip(choice["token_ids"], choice["logprobs"]):
            first = next(iter(entry))
            self.assertEqual(first, str(token))  # the chosen token comes first
            self.assertIn(len(entry), (3, 4))
            best = [e for e in entry.values() if e["rank"] <= 3]
            self.assertEqual(len(best), 3)
            total += entry[first]["logprob"]
        self.assertAlmostEqual(choice["cumulative_logprob"], total, places=6)
        usage = result["usage"]
        self.assertEqual(usage["completion_tokens"], 5)
        self.assertEqual(usage["prompt_tokens"], len(result["prompt_token_ids"]))

    def test_a_seed_gives_the_same_answer_and_another_seed_another(self):
        words = ("-p", "The fox", "--max-tokens", 24, "--temperature", 1.5, "--ignore-eos")
        one = generate_json(*words, "--seed", 1)
        self.assertEqual(one, generate_json(*words, "--seed", 1))
        self.assertNotEqual(identity(one), identity(generate_json(*words, "--seed", 2)))

    def test_answer_i_uses_seed_plus_i(self):
        words = ("-p", "The fox", "--max-tokens", 16, "--ignore-eos")
        (many,) = generate_json(*words, "--n", 3, "--seed", 10)
        for i in range(3):
            (alone,) = generate_json(*words, "--seed", 10 + i)
            self.assertEqual(many["outputs"][i]["token_ids"], alone["outputs"][0]["token_ids"])

    def test_prompts_keep_their_order_and_do_not_change_each_other(self):
        prompts = ["What is 2 + 2?", "The", "Once there was a bird who"]
        words = [w for p in prompts for w in ("-p", p)]
        together = generate_json(*words, "--seed", 3, "--max-tokens", 20)
        for prompt, result in zip(prompts, together):
            (alone,) = generate_json("-p", prompt, "--seed", 3, "--max-tokens", 20)
            self.assertEqual(identity([result]), identity([alone]))

    def test_token_ids_are_a_prompt_too(self):
        (text,) = generate_json("-p", "Hello there", "--temperature", 0, "--max-tokens", 8)
        ids = ",".join(map(str, text["prompt_token_ids"]))
        (by_id,) = generate_json("--prompt-ids", ids, "--temperature", 0, "--max-tokens", 8)
        self.assertEqual(by_id["outputs"], text["outputs"])
        self.assertIsNone(by_id["prompt"])

    def test_a_name_in_the_cache_of_this_machine_is_a_model(self):
        with tempfile.TemporaryDirectory() as home:
            entry = pathlib.Path(home, "hub", "models--phalanx--demo")
            (entry / "refs").mkdir(parents=True)
            (entry / "refs" / "main").write_text("abc\n")
            (entry / "snapshots").mkdir()
            (entry / "snapshots" / "abc").symlink_to(DEMO)
            words = ("-p", "Hello there", "--temperature", 0, "--max-tokens", 4, "--seed", 1)
            with unittest.mock.patch.dict(os.environ, HF_HOME=home):
                self.assertEqual(generate_json(*words, model="phalanx/demo"),
                                 generate_json(*words))
                missing = phalanx("generate", "phalanx/other", "-p", "x")
            self.assertEqual(missing.code, 2)
            self.assertIn(home, missing.err)  # says where it looked

    def test_standard_input_is_a_prompt(self):
        words = ("--seed", 1, "--max-tokens", 8)
        (piped,) = generate_json("-p", "-", *words, stdin=b"Hello there\n")
        (given,) = generate_json("-p", "Hello there", *words)
        self.assertEqual(piped, given)

    def test_top_k_1_and_temperature_0_take_the_most_likely_token(self):
        words = ("-p", "Once upon a time", "--max-tokens", 16)
        greedy = generate_json(*words, "--temperature", 0, "--seed", 1)
        for extra in (("--top-k", 1), ("--top-p", 0.000001), ("--min-p", 1)):
            self.assertEqual(identity(greedy), identity(generate_json(*words, *extra, "--seed", 1)))

    def test_a_stop_text_ends_the_answer_before_it(self):
        words = ("-p", "Once upon a time", "--temperature", 0, "--max-tokens", 40, "--ignore-eos")
        (whole,) = generate_json(*words)
        text = whole["outputs"][0]["text"]
        stop = text[len(text) // 2:len(text) // 2 + 5]
        (cut,) = generate_json(*words, "--stop", stop)
        self.assertEqual(cut["outputs"][0]["text"], text[:text.index(stop)])
        self.assertEqual(cut["outputs"][0]["finish_reason"], "stop")
        self.assertEqual(cut["outputs"][0]["stop_reason"], stop)
        (kept,) = generate_json(*words, "--stop", stop, "--include-stop-str-in-output")
        self.assertEqual(kept["outputs"][0]["text"], text[:text.index(stop) + len(stop)])

    def test_a_stop_token_ends_the_answer_and_is_named(self):
        words = ("-p", "Once upon a time", "--temperature", 0, "--max-tokens", 20, "--ignore-eos")
        (whole,) = generate_json(*words)
        ids = whole["outputs"][0]["token_ids"]
        (cut,) = generate_json(*words, "--stop-token-ids", ids[6])
        self.assertEqual(cut["outputs"][0]["stop_reason"], ids[6])
        self.assertEqual(cut["outputs"][0]["token_ids"], ids[:ids.index(ids[6]) + 1])

    def test_max_tokens_is_cut_to_the_model_unless_it_was_asked_for(self):
        (short,) = generate_json("-p", "Hi", "--max-model-len", 32, "--ignore-eos")
        self.assertEqual(short["usage"]["total_tokens"], 32)
        refused = phalanx("generate", DEMO, "-p", "Hi", "--max-model-len", 32, "--max-tokens", 64)
        self.assertEqual(refused.code, 2)
        self.assertIn("maximum context length is 32 tokens", refused.err)

    @unittest.skipUnless(HAS_MPI, "mpirun is not installed")
    def test_the_scale_changes_no_bit(self):
        words = ("-p", "Once upon a time there was a fox", "-p", "What is tensor parallelism?",
                 "--max-tokens", 24, "--seed", 5, "--logprobs", 5, "--ignore-eos")
        want = json.dumps(identity(generate_json(*words)))
        for extra in (("-tp", 2), ("-tp", 3, "--threads", 2), ("-tp", 4, "--comm", "mpi"),
                      ("-tp", 5, "--max-num-batched-tokens", 7), ("-tp", 8, "--kernels", "scalar"),
                      ("-pp", 2), ("-pp", 3, "--comm", "mpi"),
                      ("-pp", 4, "--max-num-batched-tokens", 7), ("-tp", 2, "-pp", 2),
                      ("-tp", 3, "-pp", 2, "--comm", "mpi"),
                      ("-tp", 2, "-pp", 4, "--block-size", 16), ("-tp", 2, "-dp", 2),
                      ("--max-num-seqs", 1, "--block-size", 16, "--kernels", "scalar")):
            got = json.dumps(identity(generate_json(*words, *extra)))
            self.assertEqual(got, want, extra)


if __name__ == "__main__":
    unittest.main()

"""phalanx generate: what a request may say beside its prompt, through the real engine."""
import json
import math
import pathlib
import tempfile
import unittest

from common import DEMO, HAS_MPI, SOURCE, generate_json, phalanx

PROMPT = ("-p", "Once upon a time there was a fox who", "--max-tokens", 16)
GREEDY = (*PROMPT, "--temperature", 0, "--ignore-eos")


def only(*words):
    """The only answer to one prompt."""
    (result,) = generate_json(*words)
    return result["outputs"][0]


class Refused(unittest.TestCase):
    def refused(self, message, *words):
        result = phalanx("generate", DEMO, "-p", "x", *words)
        self.assertEqual(result.code, 2, words)
        self.assertEqual(result.out, "")
        self.assertIn(message, result.err)


class Tokens(Refused):
    def test_a_biased_token_is_taken_and_a_banned_one_is_not(self):
        first = only(*GREEDY)["token_ids"][0]
        self.assertNotEqual(only(*GREEDY, "--logit-bias", f"{first}:-100")["token_ids"][0], first)
        self.assertEqual(only(*GREEDY, "--logit-bias", "9:100, 7:-3")["token_ids"], [9] * 16)
        # one list or several options are the same
        self.assertEqual(only(*GREEDY, "--logit-bias", "9:1,12:2.5")["token_ids"],
                         only(*GREEDY, "--logit-bias", "9:1", "--logit-bias", "12:2.5")["token_ids"])

    def test_only_allowed_tokens_come(self):
        answer = only(*PROMPT, "--allowed-token-ids", "11,12,13", "--allowed-token-ids", "14",
                      "--ignore-eos")
        self.assertLessEqual(set(answer["token_ids"]), {11, 12, 13, 14})

    def test_a_bad_word_does_not_come(self):
        text = only(*GREEDY)["text"]
        word = text.split()[1]
        other = only(*GREEDY, "--bad-words", word, "--bad-words", "zebra")["text"]
        self.assertNotEqual(other, text)
        self.assertNotIn(f" {word} ", other)

    def test_mistakes_are_named(self):
        self.refused("--logit-bias: want ID:BIAS, not '5'", "--logit-bias", "5")
        self.refused("--logit-bias: want ID:BIAS,ID:BIAS", "--logit-bias", "5:1;6:1")
        self.refused("--logit-bias: 99999999 is no token of this model", "--logit-bias",
                     "99999999:1")
        self.refused("want a bias of -100 to 100", "--logit-bias", "5:x")
        for bias in ("101", "nan", "-100.5"):
            self.refused(f"--logit-bias must be in [-100, 100], got {bias}", "--logit-bias",
                         f"5:{bias}")
        self.refused("--logit-bias: at most 1024 tokens", "--logit-bias", ",".join(["5:1"] * 1025))
        self.refused("--allowed-token-ids: -1 is no token", "--allowed-token-ids=-1")
        self.refused("--bad-words: an empty word", "--bad-words", " ")
        self.refused("--stop-token-ids: at most 128 ids", "--stop-token-ids",
                     ",".join(["5"] * 129))
        self.refused("--cache-salt: an empty salt", "--cache-salt=")
        self.refused("--cache-salt: 5000 bytes, at most", "--cache-salt", "x" * 5000)
        self.refused("outside -1 .. 20", "--prompt-logprobs", 21)


class Logprobs(unittest.TestCase):
    def test_every_token_of_the_prompt_has_them_but_the_first(self):
        (result,) = generate_json(*GREEDY, "--prompt-logprobs", 2)
        ids, rows = result["prompt_token_ids"], result["prompt_logprobs"]
        self.assertEqual(len(rows), len(ids))
        self.assertIsNone(rows[0])
        for token, row in zip(ids[1:], rows[1:]):
            self.assertEqual(next(iter(row)), str(token))
            self.assertEqual(len([e for e in row.values() if e["rank"] <= 2]), 2)
            self.assertLessEqual(row[str(token)]["logprob"], 0)
        self.assertIsNone(generate_json(*GREEDY)[0]["prompt_logprobs"])

    def test_an_answer_has_the_same_as_a_prompt_that_it_is_part_of(self):
        (whole,) = generate_json(*GREEDY, "--logprobs", 0)
        ids = whole["prompt_token_ids"] + whole["outputs"][0]["token_ids"]
        (again,) = generate_json("--prompt-ids", ",".join(map(str, ids)), "--prompt-logprobs", 0,
                                 "--max-tokens", 1, "--max-num-batched-tokens", 7)
        rows = again["prompt_logprobs"][len(whole["prompt_token_ids"]):]
        for row, answered in zip(rows, whole["outputs"][0]["logprobs"]):
            self.assertEqual(row, answered)  # every bit: nine digits are the float

    def test_processed_ones_are_those_that_were_drawn_from(self):
        words = (*PROMPT, "--top-k", 2, "--seed", 5, "--logprobs", 3, "--ignore-eos")
        raw, processed = only(*words), only(*words, "--logprobs-mode", "processed_logprobs")
        self.assertEqual(raw["token_ids"], processed["token_ids"])
        for row in processed["logprobs"]:
            total = sum(math.exp(e["logprob"]) for e in row.values() if e["logprob"] > -9999)
            self.assertAlmostEqual(total, 1, places=4)


class Beams(Refused):
    def test_beams_come_best_first_and_json_has_all_of_them(self):
        (result,) = generate_json(*PROMPT, "--beam-width", 4)
        outputs = result["outputs"]
        self.assertEqual([o["index"] for o in outputs], [0, 1, 2, 3])
        scores = [o["score"] for o in outputs]
        self.assertEqual(scores, sorted(scores, reverse=True))
        self.assertEqual(len({tuple(o["token_ids"]) for o in outputs}), 4)
        n_prompt = len(result["prompt_token_ids"])
        for o in outputs:  # vLLM's: the prompt counts, the token that ended it does not
            length = n_prompt + len(o["token_ids"]) - (o["finish_reason"] == "stop")
            self.assertAlmostEqual(o["score"], o["cumulative_logprob"] / length, places=9)

    def test_the_length_can_be_that_of_the_answer_alone(self):
        (result,) = generate_json(*PROMPT, "--num-beams", 3, "--length-penalty-scope", "generated",
                                  "--length-penalty", 0.5, "--ignore-eos")
        for o in result["outputs"]:
            self.assertAlmostEqual(o["score"], o["cumulative_logprob"] / 16 ** 0.5, places=9)

    def test_a_beam_has_the_log_probability_of_its_tokens(self):
        (result,) = generate_json(*PROMPT, "--beam-width", 3)
        for beam in result["outputs"]:
            ids = result["prompt_token_ids"] + beam["token_ids"]
            (again,) = generate_json("--prompt-ids", ",".join(map(str, ids)),
                                     "--prompt-logprobs", 0, "--max-tokens", 1)
            rows = again["prompt_logprobs"][len(result["prompt_token_ids"]):]
            total = sum(next(iter(row.values()))["logprob"] for row in rows)
            self.assertAlmostEqual(beam["cumulative_logprob"], total, places=4)

    def test_a_text_is_the_best_beam(self):
        result = phalanx("generate", DEMO, *PROMPT, "--beam-width", 4)
        self.assertEqual(result.out, only(*PROMPT, "--beam-width", 4)["text"] + "\n")

    def test_a_width_of_one_is_sampling(self):
        self.assertEqual(only(*GREEDY, "--beam-width", 1), only(*GREEDY))

    def test_what_has_no_meaning_with_beams_is_refused(self):
        for option, value in (("--stop", "x"), ("--logprobs", 1), ("--bad-words", "x"),
                              ("--logit-bias", "5:1"), ("--min-tokens", 2),
                              ("--stop-token-ids", 5), ("--allowed-token-ids", 5),
                              ("--prompt-logprobs", 0), ("--repetition-penalty", 1.3),
                              ("--frequency-penalty", 0.5), ("--presence-penalty", -1)):
            self.refused(f"{option}: has no meaning with beam search", "--beam-width", 2, option,
                         value)
        self.refused("--n: 3 answers of 2 beams; ask for fewer, or for more beams",
                     "--beam-width", 2, "--n", 3)
        self.refused("outside 1 .. 16", "--beam-width", 17)

    def test_what_changes_nothing_may_stand_beside_beams(self):
        # files of options say every default; what draws is said to have no effect
        words = ("--beam-width", 2, "--max-tokens", 4)
        plain = phalanx("generate", DEMO, "-p", "x", *words)
        self.assertEqual((plain.code, plain.err), (0, ""))
        for option, value in (("--min-tokens", 0), ("--repetition-penalty", 1),
                              ("--prompt-logprobs", -1), ("--logprobs", -1),
                              ("--frequency-penalty", 0)):
            result = phalanx("generate", DEMO, "-p", "x", *words, option, value)
            self.assertEqual((result.code, result.out, result.err), (0, plain.out, ""), option)
        for option, value in (("--temperature", 0.95), ("--top-p", 0.7), ("--top-k", 50),
                              ("--min-p", 0.1)):
            result = phalanx("generate", DEMO, "-p", "x", *words, option, value)
            self.assertEqual((result.code, result.out), (0, plain.out), option)
            name = option[2:].replace("-", "_")
            self.assertIn(f"{name}: no effect with beams", result.err)


class Scheduling(unittest.TestCase):
    """Order and caches change when things happen, and no bit of what happens."""

    def run_file(self, lines, *words):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "p.jsonl")
            path.write_text("\n".join(map(json.dumps, lines)))
            result = phalanx("generate", DEMO, "--prompts-file", path, "--jsonl", "--quiet",
                             "--seed", 5, "--max-tokens", 8, "--ignore-eos", *words)
        self.assertEqual(result.code, 0, result.err)
        return [json.loads(line) for line in result.out.splitlines()]

    def test_what_prompts_share_is_computed_once(self):
        text = "Once there was a small house at the edge of a great forest. " * 8
        lines = [{"prompt": text + end} for end in ("A fox", "A bird", "The rain")]
        words = ("--max-num-seqs", 1)
        shared = self.run_file(lines, *words)
        self.assertEqual(shared[0]["num_cached_tokens"], 0)
        for answer in shared[1:]:
            self.assertGreater(answer["num_cached_tokens"], 64)
        for other in (self.run_file(lines, *words, "--no-enable-prefix-caching"),
                      self.run_file([dict(line, priority=3 - i) for i, line in enumerate(lines)],
                                    *words, "--scheduling-policy", "priority")):
            self.assertEqual([a["outputs"] for a in other], [a["outputs"] for a in shared])
        off = self.run_file(lines, *words, "--no-enable-prefix-caching")
        self.assertEqual([a["num_cached_tokens"] for a in off], [0, 0, 0])

    def test_choices_of_one_prompt_share_it(self):
        (result,) = generate_json("-p", "The fox and the bird went on and on. " * 8, "--n", 4,
                                  "--max-tokens", 4, "--seed", 1, "--max-num-seqs", 1)
        self.assertEqual(len(result["outputs"]), 4)

    def test_a_cache_of_bytes_has_bits_of_its_own_at_every_scale(self):
        words = (*PROMPT, "--seed", 4, "--ignore-eos", "--logprobs", 2, "--kv-cache-dtype", "int8")
        want = only(*words)
        self.assertNotEqual(want["logprobs"], only(*words, "--kv-cache-dtype", "auto")["logprobs"])
        for more in (("--max-num-batched-tokens", 3), ("--kernels", "scalar"),
                     *([("-tp", 2)] if HAS_MPI else [])):
            self.assertEqual(only(*words, *more), want, more)

    def test_a_deadline_ends_an_answer(self):
        (result,) = generate_json("-p", "The fox", "--max-tokens", 2000, "--ignore-eos",
                                  "--deadline-ms", 150)
        answer = result["outputs"][0]
        self.assertEqual(answer["finish_reason"], "abort")
        self.assertLess(len(answer["token_ids"]), 2000)

    def test_a_deadline_ends_a_beam_search_without_an_answer(self):
        words = ("--max-tokens", 2000, "--ignore-eos", "--beam-width", 3, "--deadline-ms", 20)
        results = generate_json("-p", "The fox", "-p", "The bear", *words)
        self.assertEqual([[(o["finish_reason"], o["token_ids"]) for o in r["outputs"]]
                          for r in results], [[("abort", [])] * 3] * 2)
        text = phalanx("generate", DEMO, "-p", "The fox", *words)
        self.assertEqual((text.code, text.out), (0, "\n"))


class Speculation(Refused):
    NGRAM = ("--speculative-config", '{"method": "ngram", "num_speculative_tokens": 5, '
             '"prompt_lookup_max": 4, "prompt_lookup_min": 2}')
    DRAFT = ("--speculative-model", SOURCE / "demo" / "draft", "--num-speculative-tokens", 3)

    def test_guesses_change_no_bit_and_are_counted(self):
        prompt = ("-p", "one two three four one two three four one two three", "--max-tokens", 40,
                  "--ignore-eos", "--seed", 9, "--logprobs", 2)
        for words in (("--temperature", 0), ("--temperature", 1), ("--n", 3)):
            (plain,) = generate_json(*prompt, *words)
            self.assertEqual(plain["num_drafted_tokens"], 0)
            for kind in (self.NGRAM, self.DRAFT):
                (guessed,) = generate_json(*prompt, *words, *kind)
                self.assertEqual(guessed["outputs"], plain["outputs"])
                self.assertGreater(guessed["num_drafted_tokens"], 0)
                self.assertLessEqual(guessed["num_accepted_tokens"],
                                     guessed["num_drafted_tokens"])

    def test_the_smaller_model_is_often_right(self):
        (result,) = generate_json(*GREEDY, "--max-tokens", 48, *self.DRAFT)
        self.assertGreater(result["num_accepted_tokens"], result["num_drafted_tokens"] // 5)

    def test_a_model_that_is_not_there_is_named(self):
        self.refused("--speculative-model: ", "--spec-model", "/nowhere")


if __name__ == "__main__":
    unittest.main()

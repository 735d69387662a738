"""Which model may guess for another, and what is said of one that may not."""
import json
import shutil
import unittest

from common import HAS_MPI, SOURCE, ModelCase, generate_json, phalanx

DRAFT = SOURCE / "demo" / "draft"
GOLDEN = SOURCE / "tests" / "golden"
ASK = ("-p", "Repeat: red blue green", "-p", "Once upon a time", "--max-tokens", 24, "--seed", 7,
       "--logprobs", 2, "--ignore-eos")


def without_counts(answers):
    for answer in answers:
        for count in ("num_drafted_tokens", "num_accepted_tokens"):
            del answer[count]
    return answers


class DraftModel(ModelCase):
    def guessing(self, *words, draft=DRAFT):
        return phalanx("generate", self.model, *ASK, "--speculative-model", draft, *words)

    def refused(self, *parts, draft=DRAFT, words=()):
        result = self.guessing(*words, draft=draft)
        self.assertEqual(result.code, 2, result.err)
        self.assertEqual(result.out, "")
        self.assertEqual(result.err.count("\n"), 1, result.err)
        for part in ("--speculative-model", str(draft), *parts):
            self.assertIn(part, result.err)

    def copy_of_draft(self, **changes):
        folder = self.folder / "draft"
        shutil.copytree(DRAFT, folder)
        config = json.loads((folder / "config.json").read_text())
        config.update(changes)
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    def test_answers_are_the_same_on_any_number_of_ranks(self):
        want = without_counts(generate_json(*ASK, model=self.model))
        for words in [()] + [("-tp", n) for n in (2, 3) if HAS_MPI]:
            with self.subTest(words):
                got = generate_json(*ASK, "--speculative-model", DRAFT, *words, model=self.model)
                self.assertEqual(without_counts(got), want)

    def test_another_vocabulary_is_refused(self):
        self.refused("has 320 tokens and the model 2048", draft=GOLDEN / "llama-bf16")

    def test_a_model_that_makes_no_tokens_is_refused(self):
        self.refused("makes no tokens (LlamaForSequenceClassification)",
                     draft=GOLDEN / "llama-scores")

    def test_weights_without_a_head_of_their_own_make_no_tokens(self):
        draft = self.copy_of_draft(tie_word_embeddings=False)
        path = draft / "model.safetensors"
        raw = path.read_bytes()
        end = 8 + int.from_bytes(raw[:8], "little")
        bare = raw[8:end].replace(b'"model.', b'"').ljust(end - 8)
        path.write_bytes(raw[:8] + bare + raw[end:])
        self.refused("makes no tokens (LlamaForCausalLM)", draft=draft)

    def test_fewer_positions_than_sequences_may_have_are_refused_with_the_remedy(self):
        draft = self.copy_of_draft(max_position_embeddings=100)
        self.refused("--max-model-len 100", draft=draft)
        result = self.guessing("--max-model-len", 100, draft=draft)
        self.assertEqual(result.code, 0, result.err)

    @unittest.skipUnless(HAS_MPI, "mpirun is not installed")
    def test_more_ranks_than_it_can_be_cut_into_are_refused(self):
        self.refused("4", words=("-tp", 8))  # the model itself has room for eight

    def test_another_tokenizer_is_told_and_changes_no_bit(self):
        draft = self.copy_of_draft()
        with open(draft / "tokenizer.json", "a", encoding="utf-8") as file:
            file.write("\n")
        result = self.guessing("--json", draft=draft)
        self.assertEqual(result.code, 0, result.err)
        self.assertIn("another tokenizer.json", result.err)
        self.assertEqual(without_counts(json.loads(result.out)),
                         without_counts(generate_json(*ASK, model=self.model)))

    def test_a_damaged_file_of_it_is_named(self):
        draft = self.copy_of_draft()
        (draft / "config.json").write_text("{")
        self.refused("config.json", draft=draft)


if __name__ == "__main__":
    unittest.main()

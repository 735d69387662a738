"""phalanx plan: what it counts from headers is what a running job has."""
import json
import os
import pathlib
import re
import shutil
import tempfile
import unittest
import unittest.mock

from common import DEMO, HAS_MPI, SANITIZED, SOURCE, ModelCase, phalanx

GOLDEN = SOURCE / "tests" / "golden"
KINDS = ("mapped", "copied", "kv", "activations", "communication", "threads", "pinned", "tables")
LINE = re.compile(r"memory of rank (\d+): .*bytes: (.*)\)")


def plan(model, *words):
    """The parsed object; fails when the command does."""
    result = phalanx("plan", model, "--json", *words)
    if result.code != 0:
        raise AssertionError(f"exit {result.code}: {result.err}")
    return json.loads(result.out)


def measured(model, *words):
    """What each rank of a job says that it has, when it is ready."""
    result = phalanx("generate", model, "--prompt-ids", "1,2,3", "--max-tokens", 1, "--ignore-eos",
                     "--log-level", "info", *words)
    if result.code != 0:
        raise AssertionError(f"exit {result.code}: {result.err}")
    ranks = {}
    for rank, numbers in LINE.findall(result.err):
        pairs = (number.split() for number in numbers.split(", "))
        ranks[int(rank)] = {kind: int(n_bytes) for kind, n_bytes in pairs}
    return [ranks[i] for i in sorted(ranks)]


class PlansAndJobs(unittest.TestCase):
    def golden(self, name):
        """A golden model with a tokenizer, which jobs want; only ids are sent."""
        folder = pathlib.Path(tempfile.mkdtemp(prefix="phalanx-test-"))
        self.addCleanup(shutil.rmtree, folder)
        for path in (*(GOLDEN / name).iterdir(), DEMO / "tokenizer.json"):
            (folder / path.name).symlink_to(path)
        return folder

    def compare(self, model, *words):
        planned = plan(model, *words)["ranks"]
        had = measured(model, *words)
        self.assertEqual(len(planned), len(had))
        for rank, (want, got) in enumerate(zip((r["memory"] for r in planned), had)):
            with self.subTest(rank=rank):
                for kind in ("mapped", "copied", "kv", "activations", "threads"):
                    self.assertEqual(want[kind], got[kind], kind)
                total = sum(got.values())
                self.assertEqual(set(got), set(KINDS))
                self.assertLess(abs(want["total"] - total), total / 100, (want, got))

    def test_one_rank_has_what_was_planned(self):
        self.compare(DEMO)
        for name in ("gemma3-pattern", "phi3-window", "llama-f16", "qwen2-untied"):
            with self.subTest(name):
                self.compare(self.golden(name))

    def test_options_change_both_alike(self):
        for words in (["--dtype", "float32"], ["--kv-cache-dtype", "int8", "--block-size", 16],
                      ["--max-model-len", 300, "--max-num-seqs", 3], ["--threads", 3],
                      ["--max-num-batched-tokens", 100, "--no-enable-prefix-caching"],
                      ["--kv-cache-memory-bytes", 1000000], ["--spec-tokens", 4],
                      ["--spec-method", "draft_model", "--spec-model", DEMO]):
            with self.subTest(words):
                self.compare(DEMO, *words)
        self.compare(self.golden("llama-f16"), "--dtype", "bfloat16")  # which copies

    @unittest.skipUnless(HAS_MPI, "mpirun is not installed")
    def test_every_rank_of_a_layout_has_what_was_planned(self):
        for name, layouts in (("demo", ((2, 1), (3, 1), (1, 2), (2, 2), (2, 3))),
                              ("phi3-window", ((2, 1), (1, 2), (2, 2))),
                              ("gemma3-pattern", ((1, 3), (2, 2)))):
            model = DEMO if name == "demo" else self.golden(name)
            for tp, pp in layouts:
                with self.subTest((name, tp, pp)):
                    self.compare(model, "-tp", tp, "-pp", pp)

    @unittest.skipUnless(HAS_MPI, "mpirun is not installed")
    def test_other_ranks_of_other_jobs(self):
        self.compare(DEMO, "-tp", 2, "-pp", 2, "--comm", "mpi")
        self.compare(DEMO, "-tp", 2, "-pp", 2, "--spec-method", "draft_model", "--spec-model", DEMO)


class Plans(ModelCase):
    def test_weights_are_shared_without_rest(self):
        """Each kind of weight, over all layouts; norms are on every rank of a stage, and a tied
        embedding on both ends."""
        alone = plan(DEMO)["ranks"][0]
        self.assertEqual(sum(alone["weights"].values()), alone["memory"]["mapped"])
        for tp, pp in ((4, 1), (8, 1), (1, 4), (4, 3)):
            ranks = plan(DEMO, "-tp", tp, "-pp", pp)["ranks"]
            for kind in ("attention", "mlp", "embedding"):
                total = sum(r["weights"][kind] for r in ranks)
                whole = alone["weights"][kind]
                if kind == "embedding" and pp > 1:
                    whole *= 2
                if kind == "attention" and tp == 8:
                    self.assertGreater(total, whole)  # 4 KB heads, each on two ranks
                else:
                    self.assertEqual(total, whole, (kind, tp, pp))
            self.assertEqual([r["first_layer"] for r in ranks[::tp]],
                             sorted({r["first_layer"] for r in ranks}))
            self.assertEqual(sum(r["n_layers"] for r in ranks), 4 * tp)

    def test_headers_are_enough(self):
        """The weights may be a hole in the file: nobody reads them, and nobody needs the memory."""
        path = self.model / "model.safetensors"
        before = plan(self.model)
        whole = path.read_bytes()
        size = 8 + int.from_bytes(whole[:8], "little")
        path.write_bytes(whole[:size])
        os.truncate(path, len(whole))
        result = phalanx("plan", self.model, "--json")
        after = json.loads(result.out)
        for want, got in zip(before["ranks"], after["ranks"]):
            self.assertEqual(want["weights"], got["weights"])
            self.assertEqual(want["memory"]["mapped"], got["memory"]["mapped"])
        self.assertEqual(before["kv_blocks"], after["kv_blocks"])
        if not SANITIZED:  # a few ms; the best of some on a machine that others use too
            self.assertLess(min(phalanx("plan", self.model).seconds for _ in range(5)), 0.3)

    def test_sizes_that_the_model_cannot_take(self):
        for words, names in ((("-tp", 9), ("9", "nearest size is 8")),
                             (("-pp", 5), ("5", "nearest size is 4")),
                             (("--max-model-len", 4096), ("--max-model-len", "2048")),
                             (("--block-size", 17), ("--block-size",)),
                             (("--kv-cache-memory-bytes", 10), ("--kv-cache-memory-bytes",))):
            with self.subTest(words):
                result = phalanx("plan", self.model, *words)
                self.assertEqual((result.code, result.out), (2, ""))
                for name in names:
                    self.assertIn(name, result.err)

    def test_a_checkpoint_is_checked(self):
        self.drop_tensors("model.layers.0.self_attn.q_proj.weight")
        result = phalanx("plan", self.model)
        self.assertEqual(result.code, 2)
        self.assertIn("model.layers.0.self_attn.q_proj.weight is missing", result.err)

    def test_models_may_be_names_in_the_cache(self):
        snapshot = self.folder / "hub" / "models--org--demo" / "snapshots" / "abc"
        shutil.copytree(self.model, snapshot)
        refs = snapshot.parents[1] / "refs"
        refs.mkdir()
        (refs / "main").write_text("abc")
        words = ("--spec-method", "draft_model", "--spec-model")
        with unittest.mock.patch.dict(os.environ, HF_HOME=str(self.folder)):
            named = plan("org/demo", *words, "org/demo")
        self.assertEqual([r["weights"] for r in named["ranks"]],
                         [r["weights"] for r in plan(DEMO, *words, DEMO)["ranks"]])

    def test_a_sum_of_two_ranks_brings_the_row_of_the_other(self):
        row = 256 * 4
        for rank in plan(DEMO, "-tp", 2)["ranks"]:
            wire = rank["received_per_token"]
            self.assertEqual((wire["attention_layer"], wire["mlp_layer"]), (row, row))
            self.assertEqual(wire["sums"], row * (1 + 2 * 4))
            self.assertEqual(wire["sums_large_step"], wire["sums"])
            self.assertEqual(wire["logits_row"], 2048 * 4 // 2)
            self.assertEqual(wire["hand_over"], 0)
        for rank in plan(DEMO, "-tp", 4)["ranks"]:  # slices, instead of all rows whole
            wire = rank["received_per_token"]
            self.assertEqual(wire["sums_large_step"], wire["sums"] // 2)
        first, last = plan(DEMO, "-pp", 2)["ranks"]
        received = first["received_per_token"]
        self.assertEqual(received.pop("logits_row"), 16)  # the pick of the row
        self.assertEqual(set(received.values()), {0})
        self.assertEqual(last["received_per_token"]["hand_over"], row)

    def test_the_table_is_for_people(self):
        for words in ((), ("-tp", 2, "-pp", 2), ("-tp", 8, "-pp", 4)):
            result = phalanx("plan", DEMO, *words)
            self.assertEqual((result.code, result.err), (0, ""))
            lines = result.out.splitlines()
            self.assertLessEqual(max(map(len, lines[1:])), 100)  # the first is the folder
            for word in ("weights", "KV cache", "MB", "fits"):
                self.assertIn(word, result.out)


class WhatFits(unittest.TestCase):
    def test_no_rank_has_more_than_the_memory(self):
        for memory in (22000000, 40000000):
            for layout in (("-tp", 1), ("-tp", 3), ("-tp", 2, "-pp", 2)):
                with self.subTest((memory, layout)):
                    planned = plan(DEMO, "--threads", 1, "--memory", memory, *layout)
                    totals = [r["memory"]["total"] for r in planned["ranks"]]
                    block = max(r["kv_block"] for r in planned["ranks"])
                    self.assertLessEqual(max(totals), memory)
                    self.assertGreater(max(totals) + 2 * block, memory)  # no room is left

    def test_a_job_takes_what_fits_when_told(self):
        planned = plan(DEMO, "--threads", 1, "--memory", 30000000)
        again = plan(DEMO, "--threads", 1, "--kv-cache-memory-bytes",
                     planned["kv_cache_memory_bytes"])
        for key in ("kv_blocks", "kv_tokens", "sequences"):
            self.assertEqual(again[key], planned[key])

    def test_sequences_that_fit(self):
        planned = plan(DEMO, "--kv-cache-memory-bytes", 70 * 32 * 2048)  # of K and V, 4 layers
        self.assertEqual(planned["kv_blocks"], 70)
        self.assertEqual((planned["sequences"], planned["longest_sequence"]), (1, 2048))
        planned = plan(DEMO, "--kv-cache-memory-bytes", 10 * 32 * 2048)
        self.assertEqual((planned["sequences"], planned["longest_sequence"]), (0, 320))

    def test_memory_that_is_too_small_names_the_smallest_layout(self):
        result = phalanx("plan", DEMO, "--threads", 1, "--memory", 19000000)
        self.assertEqual(result.code, 2, result.out)
        tp, pp = re.search(r"smallest layout that fits is -tp (\d+) -pp (\d+)", result.err).groups()
        self.assertGreater(int(tp), 1)
        self.assertEqual(pp, "1")
        words = ("--threads", 1, "--memory", 19000000)
        self.assertEqual(phalanx("plan", DEMO, "-tp", tp, *words).code, 0)
        self.assertEqual(phalanx("plan", DEMO, "-tp", int(tp) - 1, *words).code, 2)
        result = phalanx("plan", DEMO, "--threads", 1, "--memory", 1000)
        self.assertEqual(result.code, 2)
        self.assertIn("no layout", result.err)

    def test_the_smallest_layout_is_one_that_the_draft_model_takes_too(self):
        """It has 4 heads, the model 8."""
        words = ("--threads", 1, "--speculative-model", DEMO.parent / "draft", "--memory")
        self.assertIn("no layout", phalanx("plan", DEMO, *words, 1000000).err)
        result = phalanx("plan", DEMO, *words, 25000000)
        tp, pp = re.search(r"smallest layout that fits is -tp (\d+) -pp (\d+)", result.err).groups()
        self.assertEqual(phalanx("plan", DEMO, "-tp", tp, "-pp", pp, *words, 25000000).code, 0)

    def test_memory_is_that_of_each_replica(self):
        result = phalanx("plan", DEMO, "-dp", 2)
        self.assertIn("2 replicas of tp 1 x pp 1: ", result.out)
        self.assertIn("of each replica", result.out)


if __name__ == "__main__":
    unittest.main()

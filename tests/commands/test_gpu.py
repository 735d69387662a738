"""Ranks with a GPU each, on GPUs that are emulated: PHALANX_BUILD is the folder emulated/ of the
build, whose programs find a phalanx-cuda.so beside themselves."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest
import unittest.mock

from common import BUILD, DEMO, HAS_MPI, SANITIZED, generate_json, phalanx

ANSWER = ("--prompt", "Once upon a time", "--max-tokens", 24, "--temperature", 0, "--ignore-eos")
GPU_LINE = re.compile(r"GPU memory of rank (\d+): .*bytes: (.*)\)")
BUILD_ID = re.compile(rb"[0-9a-f]{16}\x00")

os.environ["PHALANX_FIND_GPUS"] = "1"  # emulated ones have no device files


def machine(**settings):
    """A machine with such GPUs: DEVICES, MEMORY, DRIVER, CAPABILITY, SHARED."""
    return unittest.mock.patch.dict(os.environ, {"EMULATOR_" + name: str(value)
                                                 for name, value in settings.items()})


def tokens(*words):
    return [choice["token_ids"] for result in generate_json(*ANSWER, *words)
            for choice in result["outputs"]]


class Starts(unittest.TestCase):
    """What keeps a job from its GPUs is one clear line, and exit 2."""

    def check_refused(self, *texts, words=("--device", "cuda")):
        result = phalanx("generate", DEMO, *ANSWER, *words)
        self.assertEqual(result.code, 2, result.err)
        self.assertEqual(len(result.err.splitlines()), 1, result.err)
        for text in texts:
            self.assertIn(text, result.err)

    def test_no_gpu(self):
        with machine(DEVICES=0):
            self.check_refused("--device cuda", "the driver sees none")

    def test_no_driver(self):
        with machine(DRIVER=0):
            self.check_refused("this machine has no NVIDIA driver")

    def test_a_driver_that_is_too_old(self):
        with machine(DRIVER=12040):
            self.check_refused("driver is for CUDA 12.4", "needs one for CUDA 13.0")

    def test_a_gpu_that_is_too_old(self):
        with machine(CAPABILITY=75):
            self.check_refused("compute capability 7.5, and 8.0 is the least")

    def test_a_gpu_of_small_blocks(self):
        with machine(SHARED=99 << 10):
            self.check_refused("has 99 KB of shared memory for a block, and the kernels need 160")

    @unittest.skipUnless(HAS_MPI, "mpirun is not installed")
    def test_fewer_gpus_than_ranks(self):
        with machine(DEVICES=1):
            self.check_refused("2 ranks want a GPU each, and this host has 1", "--device cpu",
                               words=("-tp", 2))

    def test_fewer_gpus_than_replicas(self):
        with machine(DEVICES=1):
            self.check_refused("2 ranks (2 replicas of 1) want a GPU each, and this host has 1",
                               words=("-dp", 2))

    def test_too_little_memory(self):
        with machine(DEVICES=1, MEMORY=50 << 20):
            self.check_refused("no KV block fits on the GPU", "--gpu-memory-utilization 0.90",
                               "52.4 MB")
        with machine(DEVICES=1, MEMORY=1 << 20):
            self.check_refused("the weights of this rank")

    def test_a_cache_that_does_not_fit(self):
        with machine(DEVICES=1):
            self.check_refused("--kv-cache-memory-bytes: 1.00 GB do not fit on the GPU, of whose "
                               "268 MB", words=("--kv-cache-memory-bytes", "1GB"))

    def test_nccl_between_cpus(self):
        self.check_refused("--comm nccl is for GPUs", words=("--device", "cpu", "--comm", "nccl"))

    def test_one_rank_speaks_for_all(self):
        if not HAS_MPI:
            self.skipTest("mpirun is not installed")
        with machine(DEVICES=2, MEMORY=1 << 20):
            self.check_refused("the weights of this rank", words=("-tp", 2))


class Programs(unittest.TestCase):
    """The folder of the programs, broken in one place."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="phalanx-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        for name in ("phalanx", "phalanx-rank", "phalanx-cuda.so"):
            shutil.copy2(BUILD / name, self.folder / name)
        self.module = self.folder / "phalanx-cuda.so"

    def run_here(self, *words):
        return subprocess.run([str(self.folder / "phalanx"), *map(str, words)], text=True,
                              capture_output=True, check=False)

    def check_refused(self, text):
        result = self.run_here("generate", DEMO, *ANSWER, "--device", "cuda")
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn(text, result.stderr)
        self.assertIn(text, self.run_here("doctor").stdout)
        result = self.run_here("generate", DEMO, *ANSWER)  # auto
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_a_build_without_cuda(self):
        self.module.unlink()
        self.check_refused("this build has no CUDA")

    def test_a_module_of_other_sources(self):
        data = self.module.read_bytes()
        program = (BUILD / "phalanx-rank").read_bytes()
        ids = {i for i in BUILD_ID.findall(data) if i in program}
        self.assertEqual(len(ids), 1, ids)
        self.module.write_bytes(data.replace(ids.pop(), b"0123456789abcdef\x00"))
        self.check_refused("was built from other sources")

    def test_a_module_that_cannot_be_loaded(self):
        self.module.write_bytes(b"no library")
        self.check_refused("cannot be loaded")

    def test_a_library_that_is_missing(self):
        data = self.module.read_bytes()
        self.assertTrue(b"libm.so.6\x00" in data)  # assertIn() would print it all
        self.module.write_bytes(data.replace(b"libm.so.6\x00", b"libx.so.6\x00"))
        self.check_refused("libx.so.6 is not installed")


class Doctor(unittest.TestCase):
    def test_gpus_and_versions_are_told(self):
        with machine(DEVICES=2, CAPABILITY=80):
            out = phalanx("doctor").out
        self.assertIn("gpu        0: Emulated GPU, 0.3 GB, sm_80\n", out)
        self.assertIn("gpu        1: ", out)
        self.assertRegex(out, r"cuda       13\.0, driver for 13\.0, cuBLASLt 13\.\d+\.\d+, "
                              r"NCCL 2\.\d+\.\d+\n")

    def test_what_cannot_be_used_is_said(self):
        with machine(CAPABILITY=75):
            self.assertIn("too old, 80 is the least", phalanx("doctor").out)
        with machine(DRIVER=0):
            out = phalanx("doctor").out
        self.assertIn("gpu        no GPU can be used: this machine has no NVIDIA driver\n", out)
        self.assertIn("driver for none", out)


class Answers(unittest.TestCase):
    def check_same(self, *layouts):
        want = tokens("--device", "cpu")
        for words in layouts:
            with self.subTest(words), machine(DEVICES=8):
                self.assertEqual(tokens(*words), want)

    def test_one_gpu_gives_the_tokens_of_the_cpu(self):
        self.check_same([], ["--numerics", "exact"], ["--enforce-eager"],
                        ["--kv-cache-dtype", "int8", "--device", "cuda"])

    def test_a_cpu_is_what_auto_finds_without_a_gpu(self):
        with machine(DEVICES=0):
            result = phalanx("generate", DEMO, *ANSWER, "--log-level", "info")
        self.assertEqual(result.code, 0, result.err)
        self.assertIn("device: cpu; no GPU can be used", result.err)

    def test_numerics_are_said_unless_they_were_asked_for(self):
        words = ("generate", DEMO, *ANSWER, "--log-level", "info", "--numerics")
        self.assertIn("numerics: fast", phalanx(*words, "auto").err)
        self.assertNotIn("numerics:", phalanx(*words, "exact").err)

    def test_replicas_take_the_next_gpus(self):
        self.check_same(["-dp", 2])

    @unittest.skipUnless(HAS_MPI, "mpirun is not installed")
    def test_every_layout_gives_the_tokens_of_the_cpu(self):
        layouts = [[*tp, *pp] for tp in ([], ["-tp", 2], ["-tp", 4]) for pp in ([], ["-pp", 2])][1:]
        layouts = [["-tp", 2, "-pp", 2]] if SANITIZED else layouts
        self.check_same(*layouts, *([*words, "--numerics", "exact"] for words in layouts))

    @unittest.skipUnless(HAS_MPI, "mpirun is not installed")
    def test_made_up_weights_are_the_same_on_every_layout_of_gpus(self):
        words = ("--load-format", "dummy", "--numerics", "exact")
        with machine(DEVICES=8):
            want = tokens(*words)
            for layout in (["-tp", 2], ["-pp", 2]):
                with self.subTest(layout):
                    self.assertEqual(tokens(*words, *layout), want)
        # logits that mean nothing are near each other: a CPU, which rounds otherwise, parts soon
        self.assertEqual(tokens(*words, "--device", "cpu")[0][:4], want[0][:4])

    def replay(self, *words, device):
        with tempfile.TemporaryDirectory() as folder:
            record = str(pathlib.Path(folder) / "steps")
            tokens("--record", record, *words)
            words = [str(BUILD / "phalanx-rank"), str(DEMO), *words, "--device", device]
            return subprocess.run([*words, "--replay", record], text=True, capture_output=True,
                                  check=False)

    def test_a_record_of_a_gpu_is_replayed_on_it(self):
        done = self.replay(device="cuda")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"hash +[0-9a-f]{16}")

    def test_a_record_of_a_cache_that_only_gpus_have_is_not_for_a_cpu(self):
        done = self.replay("--dtype", "half", device="cpu")
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("a KV cache of float16, which only GPUs have", done.stderr)


class Failures(unittest.TestCase):
    """A GPU that fails once gives its process nothing more: the rank is lost."""

    def run_failing(self, *words):
        with machine(DEVICES=4, FAIL="cudaGraphLaunch:5"):
            return phalanx("generate", DEMO, *ANSWER, "--device", "cuda", *words)

    def check_goes_on(self, *words):
        want = phalanx("generate", DEMO, *ANSWER, "--device", "cpu").out
        result = self.run_failing("--max-tokens", 12, *words)
        self.assertEqual(result.code, 0, result.err)
        self.assertTrue(want.startswith(result.out.rstrip()), result.out)
        self.assertIn("step 6: GPU 0: starting a recorded step: ", result.err)
        self.assertIn("starting the ranks again; 1 answer goes on where it was", result.err)

    def test_a_gpu_that_fails_costs_no_answer(self):
        self.check_goes_on()

    @unittest.skipUnless(HAS_MPI, "mpirun is not installed")
    def test_one_of_two_that_fails_costs_no_answer(self):
        self.check_goes_on("-tp", 2)

    def test_without_restarts_it_is_an_error_with_its_name(self):
        result = self.run_failing("--max-restarts", 0)
        self.assertEqual(result.code, 70)
        self.assertIn("the ranks are lost: step 6: GPU 0: starting a recorded step", result.err)


class Bench(unittest.TestCase):
    """What a GPU does is not held against the memory of the CPU."""

    def run_bench(self, command, *words):
        with tempfile.TemporaryDirectory() as folder, machine(DEVICES=1):
            path = pathlib.Path(folder, "out.json")
            result = phalanx("bench", command, DEMO, "--input-len", 8, "--output-len", 3, "--quiet",
                             "--output-json", path, *words)
            self.assertEqual(result.code, 0, result.err)
            numbers = json.loads(path.read_text())
        self.assertIn("tp 1 x pp 1, Emulated GPU, self", numbers["engine"])
        self.assertIn("engine      " + numbers["engine"] + "\n", result.out)
        self.assertNotIn("ceiling", numbers)
        self.assertNotIn("bound", result.out + " ".join(numbers))
        return result.out

    def test_latency(self):
        self.assertRegex(self.run_bench("latency", "--num-iters", 1, "--num-iters-warmup", 0,
                                        "--batch-size", 2),
                         r"decode +\S+ tokens/s of 2 sequences\n")

    def test_throughput(self):
        self.assertRegex(self.run_bench("throughput", "--num-prompts", 3),
                         r"output +\S+ tokens/s, prompts included\n")


class Memory(unittest.TestCase):
    """What is planned is what ranks have."""

    def compare(self, *words):
        words = ("--device", "cuda", *words)
        planned = json.loads(phalanx("plan", DEMO, "--json", *words).out)["ranks"]
        with machine(DEVICES=4):
            err = phalanx("generate", DEMO, *ANSWER, "--log-level", "info", *words).err
        had = {int(rank): dict(pair.split() for pair in numbers.split(", "))
               for rank, numbers in GPU_LINE.findall(err)}
        self.assertEqual(len(planned), len(had), err)
        for i, rank in enumerate(planned):
            for kind, n_bytes in had[i].items():
                self.assertEqual(rank["gpu_memory"][kind], int(n_bytes), (i, kind))

    def test_one_rank(self):
        self.compare("--kv-cache-memory-bytes", 1000000)
        self.compare("--kv-cache-memory-bytes", 1000000, "--dtype", "float32")
        self.compare("--kv-cache-memory-bytes", 1000000, "--dtype", "half", "--max-num-seqs", 3)

    @unittest.skipUnless(HAS_MPI, "mpirun is not installed")
    def test_layouts(self):
        for words in (["-tp", 2], ["-tp", 2, "--numerics", "exact"], ["-tp", 2, "-pp", 2],
                      ["-tp", 2, "--spec-method", "draft_model", "--spec-model", DEMO]):
            with self.subTest(words):
                self.compare("--kv-cache-memory-bytes", 1000000, *words)

    def test_the_cache_fills_the_share_of_the_gpu(self):
        for share in (0.5, 0.9):
            with machine(DEVICES=1):
                err = phalanx("generate", DEMO, *ANSWER, "--log-level", "info",
                              "--gpu-memory-utilization", share).err
            total = sum(int(pair.split()[1]) for _, numbers in GPU_LINE.findall(err)
                        for pair in numbers.split(", "))
            gpu = 256 << 20
            self.assertLessEqual(total, share * gpu)
            self.assertGreater(total, share * gpu - gpu / 32)

    def test_steps_are_larger_than_on_a_cpu(self):
        words = ("generate", DEMO, *ANSWER, "--log-level", "info", "--device")
        with machine(DEVICES=1):
            self.assertIn("cuda kernels on Emulated GPU, self, context 2048, steps of 2048 tokens "
                          "and 256 sequences", phalanx(*words, "cuda").err)
            self.assertIn("steps of 1024 tokens and 64 sequences", phalanx(*words, "cpu").err)
        for memory, n_tokens in ((0, 2048), ("24g", 2048), ("80GB", 8192)):
            plan = json.loads(phalanx("plan", DEMO, "--json", "--device", "cuda", "--memory",
                                      memory).out)
            self.assertEqual((plan["max_tokens"], plan["max_sequences"]), (n_tokens, 256))

    def test_a_plan_of_a_large_gpu_fills_it(self):
        plan = json.loads(phalanx("plan", DEMO, "--json", "--device", "cuda", "--memory", "1g",
                                  "--max-num-seqs", 10000).out)
        self.assertLess(plan["ranks"][0]["gpu_memory"]["total"], 0.9e9 - (600 << 20))
        refused = phalanx("plan", DEMO, "--device", "cuda", "--memory", "500m")
        self.assertEqual(refused.code, 2)
        self.assertIn("no layout of it is small enough", refused.err)


if __name__ == "__main__":
    unittest.main()

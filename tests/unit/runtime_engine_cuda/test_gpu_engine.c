/* Tokens and the bits of all log-probabilities of many requests over emulated GPUs. Without running
 * ahead every row comes home and the host picks; else the GPU picks, and its tokens go into the
 * next step before the host has seen them. Both must say the same, on any number of ranks and
 * stages. */
#include "base/system.h"
#include "tests/test.h"
#include "tests/unit/runtime_engine/mix.h"
#include "tests/unit/runtime_forward_cuda/gpus.h"

static struct answer want[MIX_REQUESTS];

static void record_plain(void)
{
    struct mix_layout plain = mix_plain();
    if (!file_exists(SOURCE_DIR "/demo/model/model.safetensors"))
        SKIP("demo/model has no weights");
    plain.gpu = &exact_gpus;
    plain.chunk = 256;
    mix_run(&plain, want, true);
    mix_check_answers(want);
}

static void check(const struct mix_layout *layouts, size_t n)
{
    record_plain();
    for (size_t i = 0; i < n; i++)
        mix_run(&layouts[i], want, false);
}
#define CHECK_LAYOUTS(layouts) check(layouts, sizeof layouts / sizeof *layouts)

TEST(a_gpu_picks_what_the_host_picks_and_runs_ahead_of_it)
{
    static const struct mix_layout layouts[] = {
        {64, MIX_NO_CACHE, 32, DRAFTER_NONE, 1, 1, 1, MIX_AHEAD, false, 1, &exact_gpus},
        {7, MIX_WARM, 8, DRAFTER_NONE, 4, 1, 1, MIX_AHEAD, false, 1, &eager_gpus},
        {64, MIX_TINY, 8, DRAFTER_NONE, 1, 2, 1, MIX_AHEAD, false, 1, &exact_gpus},
    };
    CHECK_LAYOUTS(layouts);
}

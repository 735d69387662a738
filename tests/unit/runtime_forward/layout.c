#include "tests/unit/runtime_forward/layout.h"

#include "base/error.h"
#include "kernels/device.h"
#include "runtime/forward/layers.h"
#include "runtime/model/model.h"
#include "tests/test.h"
#include "tests/unit/parallel/threads.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { MAX_FEEDS = 8 };

struct layout {
    const struct setup *setup;
    const struct sequence *sequences;
    int n_sequences, vocab;
    void *memory;
};

static int min_int(int a, int b) { return a < b ? a : b; }

/* What every sequence gives to step `step`; the number of those that give something. */
static int feeds_of(const struct layout *layout, int step, struct feed *feeds, bool *more)
{
    int n = 0;
    *more = false;
    for (int s = 0; s < layout->n_sequences; s++) {
        const struct sequence *sequence = &layout->sequences[s];
        const int64_t begin = (int64_t)(step - sequence->first_step) * sequence->chunk;
        *more |= begin < sequence->n_ids;
        if (begin < 0 || begin >= sequence->n_ids)
            continue;
        const int n_new = min_int(sequence->chunk, sequence->n_ids - (int)begin);
        const int wanted = min_int(n_new, sequence->last_rows ? sequence->last_rows : n_new);
        feeds[n++] = (struct feed){.sequence = s,
                                   .ids = sequence->ids,
                                   .n_computed = (int)begin,
                                   .n_new = n_new,
                                   .n_logits = sequence->logits ? wanted : 0,
                                   .n_hidden = sequence->hidden ? wanted : 0};
    }
    return n;
}

/* The next `n_rows` of `from`, as the last ones that a feed is about; the rows after them. */
static const float *take_rows(float *to, const float *from, const struct feed *feed, int n_rows,
                              int width)
{
    const int first = feed->n_computed + feed->n_new - n_rows;
    const size_t n = (size_t)n_rows * (size_t)width;
    if (n > 0)
        memcpy(to + (size_t)first * (size_t)width, from, n * sizeof *from);
    return from + n;
}

static void take_result(const struct layout *layout, const struct step_result *result,
                        const struct feed *feeds, int n_feeds)
{
    const float *logits = result->logits, *hidden = result->hidden;
    for (int i = 0; i < n_feeds; i++) {
        const struct sequence *to = &layout->sequences[feeds[i].sequence];
        if (logits != NULL)
            logits = take_rows(to->logits, logits, &feeds[i], feeds[i].n_logits, result->vocab);
        if (hidden != NULL)
            hidden =
                take_rows(to->hidden, hidden, &feeds[i], feeds[i].n_hidden, result->hidden_size);
    }
}

/* What no row of the test has written is NaN. */
static bool poison_cache(struct runner *runner, struct error *err)
{
    const struct kv_store *kv = &runner->forward->kv;
    void *nan = memset(malloc(kv->n_bytes), 0xff, kv->n_bytes);
    device_upload(runner->device, kv->memory, nan, kv->n_bytes);
    const bool ok = device_sync(runner->device, err);
    free(nan);
    return ok;
}

static bool run_rank(void *context, int rank, struct error *err)
{
    const struct layout *layout = context;
    int max_tokens = 0, max_len = 0;
    for (int s = 0; s < layout->n_sequences; s++) {
        const struct sequence *sequence = &layout->sequences[s];
        max_tokens += min_int(sequence->chunk, sequence->n_ids);
        max_len = sequence->n_ids > max_len ? sequence->n_ids : max_len;
    }
    struct runner runner;
    if (!runner_open(&runner, layout->setup, layout->memory, rank, max_tokens, layout->n_sequences,
                     max_len, err))
        return false;
    bool ok = poison_cache(&runner, err) && runner.model->config.vocab == layout->vocab;
    bool more = true;
    for (int step = 0; ok && more; step++) {
        struct feed feeds[MAX_FEEDS];
        struct step_result result;
        const int n = feeds_of(layout, step, feeds, &more);
        ok = n == 0 || runner_step(&runner, feeds, n, &result, err);
        if (ok && n > 0)
            take_result(layout, &result, feeds, n);
    }
    runner_close(&runner);
    return ok;
}

void run_layout(const struct setup *setup, const struct sequence *sequences, int n_sequences,
                int vocab)
{
    CHECK(n_sequences <= MAX_FEEDS);
    const size_t n_bytes = ranks_threads_bytes(setup->tp_size, setup_stages(setup));
    struct layout layout = {.setup = setup,
                            .sequences = sequences,
                            .n_sequences = n_sequences,
                            .vocab = vocab,
                            .memory = shared_memory_map(n_bytes)};
    check_ranks(setup->tp_size * setup_stages(setup), run_rank, &layout);
    munmap(layout.memory, n_bytes);
}

uint64_t hash_bytes(const void *data, size_t n_bytes)
{
    const unsigned char *at = data;
    uint64_t hash = 0xcbf29ce484222325u;
    for (; n_bytes >= sizeof hash; at += sizeof hash, n_bytes -= sizeof hash) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        hash = (hash ^ word) * 0x100000001b3u;
        hash ^= hash >> 29;
    }
    for (; n_bytes > 0; at++, n_bytes--)
        hash = (hash ^ *at) * 0x100000001b3u;
    return hash;
}

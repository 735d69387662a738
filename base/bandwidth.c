#include "base/bandwidth.h"

#include "base/system.h"
#include "base/team.h"

#include <stdatomic.h>
#include <stdint.h>

/* A word of each cache line is enough to fetch it, and eight streams at once are what it takes to
 * keep the memory busy: a reader of one is slower than the matmul that it is the ceiling of. */
enum { ITEM_WORDS = 1 << 19, STREAMS = 8, LINE_WORDS = 8 };

struct reading {
    const uint64_t *data;
    size_t n;             /* words */
    _Atomic uint64_t sum; /* so that what is read is needed */
};

static void read_item(void *context, int item, int thread)
{
    struct reading *reading = context;
    const size_t begin = (size_t)item * ITEM_WORDS;
    const size_t n = reading->n - begin < ITEM_WORDS ? reading->n - begin : ITEM_WORDS;
    const size_t stream = n / STREAMS; /* words of one */
    const uint64_t *p = reading->data + begin;
    uint64_t sum[STREAMS] = {0};
    (void)thread;
    for (size_t i = 0; i < stream; i += LINE_WORDS)
        for (size_t j = 0; j < STREAMS; j++)
            sum[j] ^= p[j * stream + i];
    for (size_t j = 1; j < STREAMS; j++)
        sum[0] ^= sum[j];
    atomic_fetch_xor_explicit(&reading->sum, sum[0], memory_order_relaxed);
}

double bandwidth_read(struct team *team, const void *data, size_t n_bytes)
{
    struct reading reading = {.data = data, .n = n_bytes / sizeof(uint64_t)};
    const int64_t begin_ns = clock_now_ns();
    team_run(team, read_item, &reading, (int)((reading.n + ITEM_WORDS - 1) / ITEM_WORDS));
    return (double)n_bytes / ((double)(clock_now_ns() - begin_ns) * 1e-9);
}

/* runtime/model/loading_watch.h: how far the weights of a rank are.
 *
 * Counts the bytes that are read to be copied, made up, put on a GPU or looked at
 * (--check-weights). Weights that are used where the files are mapped are not loaded at all: the
 * system reads their pages when a step first touches them, and nothing is counted.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct loading_watch {
    /* After every change, from the thread that loads: some thousand times a second. NULL: nobody
     * wants to know. */
    void (*tell)(void *context, uint64_t done, uint64_t all);
    void *context;
    uint64_t done, all; /* bytes; `all` grows when more becomes known */
};

/* NULL is fine. */
static inline void loading_expect(struct loading_watch *watch, uint64_t n_bytes)
{
    if (watch != NULL)
        watch->all += n_bytes;
}

static inline void loading_did(struct loading_watch *watch, uint64_t n_bytes)
{
    if (watch == NULL)
        return;
    watch->done += n_bytes;
    if (watch->tell != NULL)
        watch->tell(watch->context, watch->done, watch->all);
}

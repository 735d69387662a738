/* tests/unit/parallel/threads.h: ranks as threads of the test. */
#pragma once
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

enum { MAX_TEST_RANKS = 24 };

/* Runs rank(context, r, err) in `size` threads; err[r] is the error of rank r (ERROR_NONE: it
 * returned true). */
void run_ranks(int size, bool (*rank)(void *context, int rank, struct error *err), void *context,
               struct error err[MAX_TEST_RANKS]);
/* The same, and the test fails with the first error. */
void check_ranks(int size, bool (*rank)(void *context, int rank, struct error *err), void *context);

/* Zeroed memory that threads and forked processes share. */
void *shared_memory_map(size_t n_bytes);

/* launcher/rank/account.h: what each rank of a job holds comes to rank 0, which tells it. */
#pragma once
#include "launcher/rank/bytes.h"

#include <stdbool.h>

struct error;
struct ranks;

struct rank_account {
    struct rank_bytes bytes;
    int64_t program; /* resident before any of these were there: program, libraries, MPI */
};

/* *total: of the bytes of all ranks, on every rank. Rank 0 logs a line for each, with the words of
 * `phalanx plan --json`. Collective over all ranks. */
bool rank_account_gather(int64_t *total, const struct rank_account *mine, const struct ranks *ranks,
                         struct error *err);

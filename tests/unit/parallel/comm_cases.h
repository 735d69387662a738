/* tests/unit/parallel/comm_cases.h: what every communicator must do, seen from one rank.
 *
 * Each rank of a group calls the same function at the same time. The results are compared with
 * what one rank alone would have, bit for bit. False with `err` filled: the communicator failed,
 * or a result is wrong. They know nothing of threads, processes or transports.
 */
#pragma once
#include "parallel/comm.h"

#include <stdbool.h>

struct error;

/* Sums of 0, 1, odd, and many floats, beyond a slot; up to 16 leaves; also in place. */
bool case_tree_reduce(struct comm *comm, struct error *err);
/* Uneven shares, shares of nothing, in place, beyond a slot. */
bool case_all_gather(struct comm *comm, struct error *err);
/* 0 bytes to megabytes from every root, idle or not. */
bool case_broadcast(struct comm *comm, struct error *err);
/* Every pair, both ways, 0 bytes to megabytes; then a ring. */
bool case_send_receive(struct comm *comm, struct error *err);
/* Many calls of random kinds and sizes without a pause: a slot reused too early shows here. */
bool case_mixture(struct comm *comm, struct error *err);

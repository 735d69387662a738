/* runtime/api/admission.h: how many requests are let in, and when none are.
 *
 * Sequences that were let in and have not ended are bounded (--max-queue and what runs at once):
 * one more is ERROR_LIMIT with code "queue_full", which HTTP says as 429 with Retry-After. While it
 * drains or sleeps, or no replica is there for good, nobody is let in: codes "draining",
 * "sleeping", "not_ready" (503).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct error;

enum admission_state { ADMISSION_OPEN, ADMISSION_STARTING, ADMISSION_SLEEPING, ADMISSION_DRAINING };

struct admission {
    enum admission_state state;
    int64_t max_in_flight; /* sequences */
    int64_t n_in_flight, n_refused;
};

/* Lets n sequences in, all or none. */
bool admission_enter(struct admission *admission, int64_t n, struct error *err);
void admission_leave(struct admission *admission, int64_t n);
/* Seconds until it is worth while to try again, for Retry-After: at least 1. */
int admission_retry_after_s(const struct admission *admission);

/* parallel/counter.h: a number in shared memory that one rank raises and others wait for.
 *
 * Whatever a rank wrote before counter_raise() is seen by a rank whose counter_wait() returned
 * true for that value. All zero is a counter at 0. Works between threads and between processes.
 * 64 bits: it never wraps. Private to parallel/.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct counter {
    _Atomic uint64_t value;
    _Atomic uint32_t sleepers; /* waiters that need a system call to wake */
};

uint64_t counter_get(const struct counter *counter);
void counter_raise(struct counter *counter, uint64_t value); /* one writer */

/* Waits until the counter is at least `value`: spins for spin_ns, then sleeps. False when it is
 * not there at give_up_at (clock_now_ns; INT64_MAX is never). */
bool counter_wait(struct counter *counter, uint64_t value, int64_t spin_ns, int64_t give_up_at);

/* A futex sees 32 bits, so sleepers watch the low half of the value: it changes with every raise,
 * and the whole value is looked at again after each wake.
 *
 * Nobody is lost between looking and sleeping. The waiter announces itself and then looks; the
 * writer raises and then looks for announcements; both in the one order of seq_cst, so at least
 * one of them sees the other. */
#include "parallel/counter.h"

#include "base/system.h"

#include <limits.h>
#include <stdatomic.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low half is taken to come first");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "a lock would not be shared between processes");
_Static_assert(sizeof(_Atomic uint64_t) == 8, "a counter in shared memory is a plain word");

enum { LOOKS_BETWEEN_CLOCKS = 32 };

static const uint32_t *watched(const struct counter *counter)
{
    return (const uint32_t *)(const void *)&counter->value;
}

uint64_t counter_get(const struct counter *counter)
{
    return atomic_load_explicit(&counter->value, memory_order_acquire);
}

void counter_raise(struct counter *counter, uint64_t value)
{
    atomic_store(&counter->value, value);
    if (atomic_load(&counter->sleepers) > 0)
        futex_wake(watched(counter), INT_MAX, true);
}

static bool spin(const struct counter *counter, uint64_t value, int64_t spin_ns)
{
    const int64_t until = clock_now_ns() + spin_ns;
    do {
        for (int i = 0; i < LOOKS_BETWEEN_CLOCKS; i++) {
            if (counter_get(counter) >= value)
                return true;
            system_pause();
        }
    } while (clock_now_ns() < until);
    return false;
}

bool counter_wait(struct counter *counter, uint64_t value, int64_t spin_ns, int64_t give_up_at)
{
    if (counter_get(counter) >= value || (spin_ns > 0 && spin(counter, value, spin_ns)))
        return true;
    atomic_fetch_add(&counter->sleepers, 1);
    bool in_time = true;
    uint64_t seen = atomic_load(&counter->value);
    while (seen < value && in_time) {
        in_time = futex_wait(watched(counter), (uint32_t)seen, give_up_at, true);
        seen = atomic_load(&counter->value);
    }
    atomic_fetch_sub(&counter->sleepers, 1);
    return seen >= value;
}

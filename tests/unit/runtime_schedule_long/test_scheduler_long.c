#include "tests/test.h"
#include "tests/unit/runtime_schedule/world.h"

TEST(millions_of_steps_never_stall_never_leak_and_end_each_request_once)
{
    struct world_counts c = {0};
    for (uint64_t seed = 1000; c.n_steps < (SANITIZED ? 1000000 : 5000000); seed++)
        world_live(&c, seed, 500);
    CHECK_EQ(c.n_submitted, c.n_ended + c.n_failed + c.n_cancelled + c.n_expired);
    CHECK_EQ(c.n_allocations, 0);
    CHECK(c.n_preempted > 10000 && c.n_hits > 100000 && c.n_copies > 50000);
    CHECK(c.n_beams > 5000 && c.n_given_early > 100000 && c.n_ahead > 50000);
}

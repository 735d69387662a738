#include "tests/test.h"
#include "tests/unit/runtime_schedule/allocations.h"
#include "tests/unit/runtime_schedule/world.h"

TEST(random_requests_never_stall_never_leak_and_end_once)
{
    struct world_counts c = {0};
    for (uint64_t seed = 1; c.n_steps < 50000; seed++)
        world_live(&c, seed, 500);
    CHECK_EQ(c.n_submitted, c.n_ended + c.n_failed + c.n_cancelled + c.n_expired);
    CHECK_EQ(c.n_allocations, 0);
    CHECK(allocations() > c.n_submitted); /* the counter counts */
    /* the test tested something */
    CHECK(c.n_ended > 5000 && c.n_failed > 100 && c.n_cancelled > 500 && c.n_expired > 500);
    CHECK(c.n_refused > 1000 && c.n_chunks > 5000 && c.n_preempted > 1000 && c.n_hits > 10000);
    CHECK(c.n_right_drafts > 1000 && c.n_wrong_drafts > 1000 && c.n_prompt_rows > 10000);
    CHECK(c.n_replayed > 1000 && c.n_pooled > 500 && c.n_beams > 300 && c.n_copies > 500 &&
          c.n_given_early > 5000);
    CHECK(c.n_ahead > 3000 && c.n_dropped > 500);
}

#include "launcher/job/restarts.h"
#include "tests/test.h"

static const int64_t SECOND_NS = 1000000000;

TEST(the_first_start_is_at_once_and_the_others_wait_longer_and_longer)
{
    static const int want_ms[] = {0, 500, 1000, 2000, 4000};
    struct restarts restarts = {.most = 5};
    int64_t start_ns = 0;
    for (int i = 0; i < 5; i++) {
        const int64_t now_ns = start_ns + SECOND_NS; /* loading takes a second */
        CHECK(restarts_allow(&restarts, now_ns, false, &start_ns));
        CHECK_EQ((start_ns - now_ns) / 1000000, want_ms[i]);
        restarts_note_ready(&restarts, start_ns);
    }
    CHECK(!restarts_allow(&restarts, start_ns + SECOND_NS, false, &start_ns));
    CHECK_EQ(restarts.n, 5);
}

TEST(progress_makes_the_next_loss_the_first_one)
{
    struct restarts restarts = {.most = 1};
    int64_t start_ns = 0;
    for (int i = 0; i < 100; i++) {
        const int64_t now_ns = (i + 1) * SECOND_NS;
        CHECK(restarts_allow(&restarts, now_ns, true, &start_ns));
        CHECK_EQ(start_ns, now_ns);
    }
    CHECK(!restarts_allow(&restarts, 101 * SECOND_NS, false, &start_ns));
}

TEST(ranks_that_stood_for_a_minute_came_to_something)
{
    struct restarts restarts = {.most = 1};
    int64_t start_ns;
    CHECK(restarts_allow(&restarts, 1, false, &start_ns));
    restarts_note_ready(&restarts, SECOND_NS);
    CHECK(restarts_allow(&restarts, 61 * SECOND_NS, false, &start_ns));
    restarts_note_ready(&restarts, 62 * SECOND_NS);
    CHECK(!restarts_allow(&restarts, 121 * SECOND_NS, false, &start_ns));
}

TEST(an_hour_of_loading_is_no_progress)
{
    struct restarts restarts = {.most = 1};
    int64_t start_ns;
    CHECK(restarts_allow(&restarts, SECOND_NS, false, &start_ns));
    CHECK(!restarts_allow(&restarts, 3600 * SECOND_NS, false, &start_ns));
}

TEST(none_is_none)
{
    struct restarts restarts = {.most = 0};
    int64_t start_ns;
    CHECK(!restarts_allow(&restarts, SECOND_NS, true, &start_ns));
}

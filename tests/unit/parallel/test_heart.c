#include "parallel/heart.h"
#include "tests/test.h"

#include <stddef.h>

struct beats {
    int n, n_waits;
};

static void count(void *context, bool waits)
{
    struct beats *beats = context;
    beats->n++;
    beats->n_waits += waits;
}

TEST(a_heart_beats_at_most_four_times_a_second)
{
    struct beats beats = {0};
    struct heart heart = {.beat = count, .context = &beats};
    heart_look(&heart, false);
    CHECK_EQ(beats.n, 1);
    for (int i = 0; i < 1000; i++)
        heart_look(&heart, false);
    CHECK(beats.n <= 2);
    heart.next_ns = 0;
    heart_look(&heart, true);
    CHECK_EQ(beats.n_waits, 1);
}

TEST(a_heart_that_nobody_has_or_wants_is_quiet)
{
    struct heart heart = {0};
    heart_look(&heart, false);
    heart_look(NULL, true);
}

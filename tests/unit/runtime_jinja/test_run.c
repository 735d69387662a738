#include "runtime/jinja/values/run.h"
#include "tests/test.h"

TEST(memory_and_steps_end_at_their_budgets)
{
    struct run r = {.max_steps = 10, .max_bytes = 1000};
    CHECK(run_alloc(&r, 100, 8) != NULL);
    CHECK(run_alloc(&r, 100, 8) == NULL);
    CHECK_EQ(r.exception, LIMIT_EXCEEDED);
    CHECK(run_step(&r, 10));
    CHECK(!run_step(&r, 1));
    arena_release(&r.arena);
}

TEST(the_first_exception_stays)
{
    struct run r = {0};
    CHECK(!run_raise(&r, TYPE_ERROR, "first %d", 1));
    CHECK(!run_raise(&r, VALUE_ERROR, "second"));
    CHECK_EQ(r.exception, TYPE_ERROR);
    CHECK_STR(r.message, "first 1");
}

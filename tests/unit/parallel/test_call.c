/* The deadline of a call, at times that are made up from when it began. */
#include "parallel/call.h"

#include "base/error.h"
#include "tests/test.h"

static const int64_t ms = 1000 * 1000;

static struct call begin(int64_t deadline_ns)
{
    const struct comm comm = {.size = 2};
    const struct comm_settings settings = {.deadline_ns = deadline_ns};
    struct call call = {0};
    struct error err = {0};
    CHECK(call_begin(&call, CALL_BROADCAST, 1, &comm, &settings, &err));
    return call;
}

TEST(a_call_is_over_when_its_deadline_has_passed)
{
    struct call call = begin(1000 * ms);
    const int64_t start = call.looked_at;
    for (int i = 1; i < 10; i++)
        CHECK(!call_is_over(&call, start + i * 100 * ms));
    CHECK(call_is_over(&call, start + 1000 * ms));
}

TEST(time_in_which_this_rank_was_stopped_does_not_count)
{
    struct call call = begin(1000 * ms);
    const int64_t start = call.looked_at;
    CHECK(!call_is_over(&call, start + 400 * ms));
    CHECK(!call_is_over(&call, start + 60400 * ms)); /* a minute later */
    CHECK(!call_is_over(&call, start + 60700 * ms));
    CHECK(call_is_over(&call, start + 61000 * ms));
}

TEST(an_idle_call_is_never_over)
{
    struct call call = begin(1000 * ms);
    call_wait_or_hurry(&call, &(struct comm){0}, &(struct comm_settings){0}, true, true);
    for (int i = 1; i < 10; i++)
        CHECK(!call_is_over(&call, call.looked_at + i * 1000000 * ms));
}

TEST(a_group_has_no_call_after_one_that_failed)
{
    const struct comm comm = {.size = 2};
    const struct comm_settings settings = {.deadline_ns = 1000 * ms};
    struct call call = begin(1000 * ms);
    struct error err = {0};
    CHECK(call_end(&call, true));
    CHECK(call_begin(&call, CALL_SEND, 1, &comm, &settings, &err));
    CHECK(!call_end(&call, false));
    CHECK(!call_begin(&call, CALL_SEND, 1, &comm, &settings, &err));
    CHECK_STR(err.text, "send after this group of ranks has failed");
    CHECK(!call_end(&call, false));
}

#include "runtime/gateway/dispatch.h"
#include "tests/test.h"

#include <sys/socket.h>

struct ends { /* of one link: the dispatch is over the first */
    struct link *gateway, *engine;
    struct dispatch *dispatch;
};

static struct ends connect_ends(void)
{
    int fd[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
    struct ends ends = {.gateway = link_create(fd[0]), .engine = link_create(fd[1])};
    ends.dispatch = dispatch_create(ends.gateway);
    return ends;
}

static void close_ends(struct ends *ends)
{
    dispatch_destroy(ends->dispatch);
    link_destroy(ends->gateway);
    link_destroy(ends->engine);
}

struct heard {
    int n_tokens, n_failures;
    bool wants_more;
};

static bool hear_token(void *context, const struct link_token *token)
{
    struct heard *heard = context;
    (void)token;
    heard->n_tokens++;
    return heard->wants_more;
}

static void hear_failure(void *context, const struct error *why)
{
    struct heard *heard = context;
    (void)why;
    heard->n_failures++;
}

static uint64_t submit(struct ends *ends, struct heard *heard)
{
    static const int32_t prompt[] = {1};
    struct error err = {0};
    struct link_submit request = {.prompt = prompt, .n_prompt = 1, .params = params_default()};
    const struct dispatch_listener listener = {
        .token = hear_token, .failed = hear_failure, .context = heard};
    CHECK(dispatch_submit(ends->dispatch, &request, &listener, &err));
    return request.id;
}

static void engine_says(struct ends *ends, uint64_t id, enum finish_reason finish)
{
    struct error err = {0};
    bool all_sent;
    const struct link_token token = {.id = id, .token = 5, .finish = finish, .stop_token = -1};
    const struct link_event event = {.kind = LINK_TOKENS, .token = &token, .n_tokens = 1};
    CHECK(link_send_event(ends->engine, &event, &err));
    CHECK(link_flush(ends->engine, &all_sent, &err) && all_sent);
}

static void engine_hears(struct ends *ends, enum link_command_kind kind, uint64_t id)
{
    struct error err = {0};
    struct link_command command;
    bool got;
    CHECK(link_receive_command(ends->engine, &command, &got, &err));
    CHECK(got);
    CHECK_EQ(command.kind, kind);
    CHECK_EQ(kind == LINK_SUBMIT ? command.submit.id : command.cancel_id, id);
}

static bool run(struct ends *ends, sig_atomic_t interrupted, enum error_kind want)
{
    struct error err = {0};
    const volatile sig_atomic_t interrupt = interrupted;
    const bool good = dispatch_run(ends->dispatch, 0, &interrupt, &err);
    CHECK_EQ(err.kind, want);
    return good;
}

TEST(tokens_go_to_who_waits_until_the_last_one)
{
    struct ends ends = connect_ends();
    struct heard one = {.wants_more = true}, two = {.wants_more = true};
    const uint64_t first = submit(&ends, &one), second = submit(&ends, &two);
    engine_says(&ends, first, FINISH_NONE);
    engine_says(&ends, second, FINISH_LENGTH);
    engine_says(&ends, first, FINISH_STOP);
    CHECK(run(&ends, 0, ERROR_NONE));
    CHECK_EQ(one.n_tokens, 2);
    CHECK_EQ(two.n_tokens, 1);
    close_ends(&ends);
}

/* The engine would go on for nobody while the next request is waited for. */
TEST(a_choice_that_nobody_wants_any_more_is_cancelled_at_once)
{
    struct ends ends = connect_ends();
    struct heard heard = {.wants_more = false};
    const uint64_t id = submit(&ends, &heard);
    engine_says(&ends, id, FINISH_NONE);
    CHECK(run(&ends, 0, ERROR_NONE));
    CHECK_EQ(heard.n_tokens, 1);
    engine_hears(&ends, LINK_SUBMIT, id);
    engine_hears(&ends, LINK_CANCEL, id);
    close_ends(&ends);
}

TEST(after_an_interrupt_all_can_be_cancelled_and_the_link_goes_on)
{
    struct ends ends = connect_ends();
    struct error err = {0};
    struct heard heard = {.wants_more = true}, later = {.wants_more = true};
    const uint64_t id = submit(&ends, &heard);
    CHECK(!run(&ends, 1, ERROR_LIMIT));
    CHECK(dispatch_cancel_all(ends.dispatch, &err));
    engine_hears(&ends, LINK_SUBMIT, id);
    engine_hears(&ends, LINK_CANCEL, id);

    const uint64_t next = submit(&ends, &later);
    engine_says(&ends, id, FINISH_NONE); /* was on its way */
    engine_says(&ends, next, FINISH_STOP);
    CHECK(run(&ends, 0, ERROR_NONE));
    CHECK_EQ(heard.n_tokens, 0);
    CHECK_EQ(later.n_tokens, 1);
    engine_hears(&ends, LINK_SUBMIT, next);
    close_ends(&ends);
}

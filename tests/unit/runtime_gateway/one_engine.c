#include "tests/unit/runtime_gateway/one_engine.h"

#include "tests/test.h"

#include <sys/socket.h>

struct ends connect_ends(void)
{
    int fd[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
    struct ends ends = {.gateway = link_create(fd[0]), .engine = link_create(fd[1])};
    ends.dispatch = dispatch_create(1);
    dispatch_attach(ends.dispatch, 0, ends.gateway);
    return ends;
}

void close_ends(struct ends *ends)
{
    dispatch_destroy(ends->dispatch);
    link_destroy(ends->gateway);
    link_destroy(ends->engine);
}

void engine_sends(struct ends *ends, struct link_event event)
{
    struct error err = {0};
    bool all_sent;
    CHECK(link_send_event(ends->engine, &event, &err));
    CHECK(link_flush(ends->engine, &all_sent, &err) && all_sent);
}

void engine_begins(struct ends *ends, uint64_t id)
{
    engine_sends(ends, (struct link_event){.kind = LINK_BEGUN, .begun_id = &id, .n_begun = 1});
}

void engine_says(struct ends *ends, uint64_t id, enum finish_reason finish)
{
    const struct link_token token = {.id = id, .token = 5, .finish = finish, .stop_token = -1};
    engine_sends(ends, (struct link_event){.kind = LINK_TOKENS, .token = &token, .n_tokens = 1});
}

static bool next_command(struct ends *ends, struct link_command *out)
{
    struct error err = {0};
    bool got;
    CHECK(link_receive_command(ends->engine, out, &got, &err));
    return got;
}

void engine_hears(struct ends *ends, enum link_command_kind kind, uint64_t id)
{
    struct link_command command;
    CHECK(next_command(ends, &command));
    CHECK_EQ(command.kind, kind);
    CHECK_EQ(kind == LINK_SUBMIT ? command.submit.id : command.cancel_id, id);
}

uint64_t engine_hears_request(struct ends *ends, struct link_submit *out)
{
    struct link_command command;
    CHECK(next_command(ends, &command));
    CHECK_EQ(command.kind, LINK_SUBMIT);
    *out = command.submit;
    return out->id;
}

void engine_hears_nothing(struct ends *ends)
{
    struct link_command command;
    CHECK(!next_command(ends, &command));
}

bool take(struct ends *ends, size_t at_most, enum error_kind want)
{
    struct error err = {0};
    bool good;
    do
        good = dispatch_take(ends->dispatch, 0, at_most, &err);
    while (good && dispatch_has_more(ends->dispatch, 0) &&
           (at_most == 0 || dispatch_in_flight(ends->dispatch) > at_most));
    CHECK_EQ(err.kind, want);
    CHECK(!good || dispatch_flush(ends->dispatch, 0));
    return good;
}

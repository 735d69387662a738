/* Sleep as a server has it, with an engine that the test plays. */
#include "runtime/api/sleep.h"

#include "tests/test.h"
#include "tests/unit/runtime_api/server.h"

struct waits {
    int n_good, n_bad;
    struct error why;
};

static void told(void *context, const struct error *why)
{
    struct waits *waits = context;
    waits->n_good += why == NULL;
    waits->n_bad += why != NULL;
    if (why != NULL)
        waits->why = *why;
}

static struct sleep_waiter *go(struct server *server, enum link_sleep level, struct waits *waits)
{
    struct error err = {0};
    struct sleep_waiter *call = api_sleep(&server->api, level, told, waits, &err);
    CHECK(call != NULL);
    api_settle(&server->api);
    return call;
}

/* The engine does as it was told. */
static void obey(struct server *server, enum link_sleep level)
{
    const struct link_event event = {.kind = LINK_ASLEEP, .sleep = level};
    server_hear(server);
    server_event(server, &event);
}

static void check_refused_asleep(struct server *server)
{
    const struct api_prompt prompt = text_of("Hello");
    const struct generate_request request = ask_for(&prompt, 1);
    struct error err = {0};
    struct heard heard;
    const struct generate_listener listener = listener_of(&heard);
    CHECK(api_generate(&server->api, &request, &listener, &err) == NULL);
    CHECK_STR(err.code, "sleeping");
}

TEST(what_runs_is_finished_and_nobody_is_let_in)
{
    struct server server;
    struct waits sleep = {0}, wake = {0};
    struct heard heard;
    server_open(&server);
    const struct api_prompt prompt = text_of("Hello");
    const struct generate_request request = ask_for(&prompt, 1);
    ask(&server, &request, &heard);
    go(&server, LINK_NO_CACHE, &sleep);
    CHECK(api_is_asleep(&server.api));
    check_refused_asleep(&server);
    server_token(&server, 0, 17, FINISH_LENGTH);
    CHECK_EQ(heard.n_done, 1);
    CHECK_EQ(sleep.n_good, 0);
    obey(&server, LINK_NO_CACHE);
    CHECK_EQ(sleep.n_good, 1);
    go(&server, LINK_NOT_ASLEEP, &wake);
    check_refused_asleep(&server);
    obey(&server, LINK_NOT_ASLEEP);
    CHECK_EQ(wake.n_good, 1);
    CHECK(!api_is_asleep(&server.api));
    generate_cancel(ask(&server, &request, &heard));
    server_hear(&server);
    server_close(&server);
}

TEST(who_asks_for_what_is_asked_for_waits_too)
{
    struct server server;
    struct waits first = {0}, second = {0}, third = {0};
    server_open(&server);
    go(&server, LINK_NOT_ASLEEP, &first); /* it is awake */
    CHECK_EQ(first.n_good, 1);
    go(&server, LINK_NO_WEIGHTS, &first);
    go(&server, LINK_NO_CACHE, &second); /* a deeper one is on its way */
    CHECK_EQ(first.n_good + second.n_good, 1);
    obey(&server, LINK_NO_WEIGHTS);
    CHECK_EQ(first.n_good + second.n_good, 3);
    go(&server, LINK_NO_CACHE, &third);
    CHECK_EQ(third.n_good, 1);
    CHECK_EQ(dispatch_asleep(server.api.dispatch), LINK_NO_WEIGHTS);
    server_close(&server);
}

TEST(a_deeper_sleep_is_the_one_before_too)
{
    struct server server;
    struct waits first = {0}, second = {0};
    server_open(&server);
    go(&server, LINK_NO_CACHE, &first);
    go(&server, LINK_NO_WEIGHTS, &second);
    CHECK_EQ(first.n_bad, 0);
    obey(&server, LINK_NO_CACHE);
    CHECK_EQ(first.n_good + second.n_good, 0);
    obey(&server, LINK_NO_WEIGHTS);
    CHECK_EQ(first.n_good + second.n_good, 2);
    server_close(&server);
}

TEST(the_last_word_counts)
{
    struct server server;
    struct waits sleep = {0}, wake = {0};
    struct heard heard;
    server_open(&server);
    const struct api_prompt prompt = text_of("Hello");
    const struct generate_request request = ask_for(&prompt, 1);
    struct generate_call *runs = ask(&server, &request, &heard);
    go(&server, LINK_NO_CACHE, &sleep);
    go(&server, LINK_NOT_ASLEEP, &wake);
    CHECK_EQ(sleep.n_bad, 1);
    CHECK_STR(sleep.why.code, "superseded");
    CHECK_EQ(wake.n_good, 1); /* no rank sleeps yet */
    CHECK(!api_is_asleep(&server.api));
    generate_cancel(runs);
    server_hear(&server);
    server_close(&server);
}

TEST(who_does_not_wait_changes_nothing)
{
    struct server server;
    struct waits sleep = {0};
    server_open(&server);
    sleep_cancel(go(&server, LINK_NO_CACHE, &sleep));
    obey(&server, LINK_NO_CACHE);
    CHECK_EQ(sleep.n_good + sleep.n_bad, 0);
    CHECK(api_is_asleep(&server.api));
    server_close(&server);
}

TEST(a_server_that_ends_neither_sleeps_nor_wakes)
{
    struct server server;
    struct waits waits = {0};
    struct error err = {0}, why = {0};
    server_open(&server);
    go(&server, LINK_NO_CACHE, &waits);
    error_set(&why, ERROR_PEER, "the ranks are lost");
    api_sleep_fail(&server.api, &why);
    api_settle(&server.api);
    CHECK_EQ(waits.n_bad, 1);
    server.admission.state = ADMISSION_DRAINING;
    CHECK(api_sleep(&server.api, LINK_NOT_ASLEEP, told, &waits, &err) == NULL);
    CHECK_STR(err.code, "draining");
    server_close(&server);
}

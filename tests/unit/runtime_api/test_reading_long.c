/* One long text is read over many turns: here each slice is the shortest that there is. */
#include "runtime/api/pool.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/system.h"
#include "runtime/text/encoder.h"
#include "tests/test.h"
#include "tests/unit/runtime_api/server.h"

#include <string.h>

enum { N_BYTES = 20000, LONG_CONTEXT = 1 << 24, DEADLINE_MS = 2000 };

static void open_sliced(struct server *server)
{
    server_open(server);
    server->api.reading_slice_ns = 1;
    server->api.model.max_model_len = LONG_CONTEXT;
    server->api.model.kv_tokens = 0;
}

/* Letters and spaces, a few of which are words. */
static struct bytes long_text(size_t n_bytes)
{
    uint32_t state = 3;
    struct bytes text = {0};
    for (size_t i = 0; i < n_bytes; i++) {
        state = state * 1664525 + 1013904223;
        bytes_add_char(&text, state >> 29 == 0 ? ' ' : (char)('a' + (state >> 8) % 26));
    }
    return text;
}

static struct api_prompt prompt_of(const struct bytes *text)
{
    return (struct api_prompt){.text = text->data, .n_bytes = text->len};
}

/* Turns of the loop until there is nothing to read. */
static int read_on(struct server *server)
{
    int n = 0;
    for (; server->api.reading.first != NULL; n++)
        CHECK(api_settle(&server->api));
    server_hear(server);
    return n;
}

static void check_nothing_is_under_way(const struct server *server)
{
    CHECK(server->api.reading.first == NULL);
    CHECK_EQ(encoder_under_way(server->intake.encoder), 0);
    CHECK_EQ(server->n_held, 0);
}

/* What the engine gets of a request when it is read at once, and when it is read in slices. */
static void check_same(struct server *server, const struct generate_request *request)
{
    struct ids at_once = {0};
    struct heard heard;
    server->api.reading_slice_ns = 0;
    struct generate_call *call = ask(server, request, &heard);
    const struct ids *ids = generate_prompt_ids(call, 0);
    ids_add_all(&at_once, ids->data, ids->n);
    generate_cancel(call);
    server->api.reading_slice_ns = 1;
    call = ask(server, request, &heard);
    CHECK(!generate_is_sent(call));
    CHECK(read_on(server) > 10);
    CHECK(generate_is_sent(call));
    ids = generate_prompt_ids(call, 0);
    CHECK_EQ(ids->n, at_once.n);
    CHECK(memcmp(ids->data, at_once.data, ids->n * sizeof *ids->data) == 0);
    CHECK_EQ(server->held[server->n_held - 1].n_prompt, (int)at_once.n);
    generate_cancel(call);
    server_hear(server);
    ids_release(&at_once);
}

TEST(a_long_text_is_read_over_many_turns_and_its_ids_are_the_same)
{
    struct server server;
    struct bytes text = long_text(N_BYTES);
    const struct api_prompt prompt = prompt_of(&text);
    open_sliced(&server);
    struct generate_request request = ask_for(&prompt, 1);
    check_same(&server, &request);
    request.truncate_prompt_tokens = 1000;
    check_same(&server, &request);
    check_nothing_is_under_way(&server);
    server_close(&server);
    bytes_release(&text);
}

TEST(so_is_a_chat_with_a_long_message_that_spells_special_tokens)
{
    struct server server;
    struct bytes text = long_text(N_BYTES);
    open_sliced(&server);
    bytes_add_text(&text, "<|end|><|user|></s><s> and more of it");
    json_t *messages =
        json_pack("[{s:s,s:s#}]", "role", "user", "content", text.data, (int)text.len);
    struct generate_request request = ask_for(NULL, 0);
    request.messages = messages;
    request.add_special_tokens = false;
    request.add_generation_prompt = true;
    check_same(&server, &request);
    json_decref(messages);
    server_close(&server);
    bytes_release(&text);
}

TEST(what_the_caller_gave_may_change_while_a_long_text_is_read)
{
    struct server server;
    struct heard heard;
    struct bytes text = long_text(N_BYTES), copy = long_text(N_BYTES);
    struct api_prompt prompt = prompt_of(&text);
    size_t n_bytes;
    open_sliced(&server);
    const struct generate_request request = ask_for(&prompt, 1);
    struct generate_call *call = ask(&server, &request, &heard);
    memset(text.data, 'x', text.len);
    prompt = (struct api_prompt){0};
    read_on(&server);
    const char *kept = generate_prompt_text(call, 0, &n_bytes);
    CHECK_EQ(n_bytes, copy.len);
    CHECK(memcmp(kept, copy.data, n_bytes) == 0);
    generate_cancel(call);
    server_close(&server);
    bytes_release(&text);
    bytes_release(&copy);
}

static void count_sent(void *context, struct generate_call *call)
{
    CHECK(generate_is_sent(call));
    ++*(int *)context;
}

TEST(who_asks_is_told_when_it_is_read_but_not_of_what_is_read_at_once)
{
    struct server server;
    struct error err = {0};
    struct bytes text = long_text(N_BYTES);
    const struct api_prompt prompt[] = {prompt_of(&text), text_of("short")};
    int n_sent = 0;
    const struct generate_listener listener = {.sent = count_sent, .context = &n_sent};
    open_sliced(&server);
    const struct generate_request one = ask_for(&prompt[0], 1), other = ask_for(&prompt[1], 1);
    struct generate_call *call = api_generate(&server.api, &one, &listener, &err);
    struct generate_call *at_once = api_generate(&server.api, &other, &listener, &err);
    CHECK(generate_is_sent(at_once));
    CHECK_EQ(n_sent, 0);
    read_on(&server);
    CHECK_EQ(n_sent, 1);
    generate_cancel(call);
    generate_cancel(at_once);
    server_close(&server);
    bytes_release(&text);
}

TEST(a_short_prompt_is_on_its_way_while_a_long_one_is_read)
{
    struct server server;
    struct heard heard, other;
    struct bytes text = long_text(N_BYTES);
    const struct api_prompt prompt[] = {prompt_of(&text), text_of("short")};
    open_sliced(&server);
    const struct generate_request one = ask_for(&prompt[0], 1), two = ask_for(&prompt[1], 1);
    struct generate_call *call = ask(&server, &one, &heard);
    CHECK(api_settle(&server.api));
    ask(&server, &two, &other);
    CHECK_EQ(server.n_held, 1);
    server_end(&server, 0, FINISH_STOP);
    CHECK_EQ(other.n_done, 1);
    CHECK(server.api.reading.first != NULL);
    generate_cancel(call);
    check_nothing_is_under_way(&server);
    server_close(&server);
    bytes_release(&text);
}

/* A long text that is in the middle. */
static struct generate_call *begin(struct server *server, const struct bytes *text,
                                   int64_t deadline_ms, struct heard *heard)
{
    const struct api_prompt prompt = prompt_of(text);
    struct generate_request request = ask_for(&prompt, 1);
    request.sampling.deadline_ms = deadline_ms;
    open_sliced(server);
    struct generate_call *call = ask(server, &request, heard);
    for (int i = 0; i < 5; i++)
        CHECK(api_settle(&server->api));
    CHECK_EQ(encoder_under_way(server->intake.encoder), text->len);
    return call;
}

TEST(a_call_that_ends_in_the_middle_of_a_text_leaves_nothing_of_it)
{
    struct server server;
    struct heard heard;
    struct error why = {0};
    struct bytes text = long_text(N_BYTES);
    generate_cancel(begin(&server, &text, SAMPLING_UNSAID, &heard));
    check_nothing_is_under_way(&server);
    server_close(&server);

    begin(&server, &text, DEADLINE_MS, &heard);
    system_sleep_ns(DEADLINE_MS * 1000000LL);
    api_settle(&server.api);
    CHECK_STR(heard.why.code, "deadline_exceeded");
    check_nothing_is_under_way(&server);
    server_close(&server);

    error_set(&why, ERROR_LIMIT, "the server is ended");
    begin(&server, &text, SAMPLING_UNSAID, &heard);
    api_give_up(&server.api, &why);
    api_settle(&server.api);
    CHECK_STR(heard.why.text, "the server is ended");
    check_nothing_is_under_way(&server);
    server_close(&server);
    bytes_release(&text);
}

TEST(one_that_has_too_many_tokens_fails_with_their_number_when_it_is_read)
{
    struct server server;
    struct heard heard;
    struct bytes text = long_text(N_BYTES);
    const struct api_prompt prompt = prompt_of(&text);
    open_sliced(&server);
    server.api.model.max_model_len = N_BYTES / 4;
    const struct generate_request request = ask_for(&prompt, 1);
    ask(&server, &request, &heard);
    CHECK_EQ(heard.n_failed, 0);
    read_on(&server);
    CHECK_EQ(heard.n_failed, 1);
    CHECK_STR(heard.why.code, "context_length_exceeded");
    CHECK_STR(heard.why.param, "prompt");
    check_nothing_is_under_way(&server);
    server_close(&server);
    bytes_release(&text);
}

TEST(of_many_megabytes_some_wait_until_there_is_room)
{
    enum { N = 3, MB = 1 << 20 };
    struct server server;
    struct heard heard[N];
    struct generate_call *call[N];
    struct bytes text = long_text(7 * MB);
    const struct api_prompt prompt = prompt_of(&text);
    open_sliced(&server);
    const struct generate_request request = ask_for(&prompt, 1);
    for (int i = 0; i < N; i++)
        call[i] = ask(&server, &request, &heard[i]);
    for (int i = 0; i < 3 * N; i++)
        CHECK(api_settle(&server.api));
    CHECK_EQ(encoder_under_way(server.intake.encoder), 14 * MB);
    generate_cancel(call[0]);
    CHECK_EQ(encoder_under_way(server.intake.encoder), 7 * MB);
    for (int i = 0; i < N; i++)
        CHECK(api_settle(&server.api));
    CHECK_EQ(encoder_under_way(server.intake.encoder), 14 * MB);
    generate_cancel(call[1]);
    generate_cancel(call[2]);
    check_nothing_is_under_way(&server);
    server_close(&server);
    bytes_release(&text);
}

/* ---- pairs ---- */

static void note_pool(void *context, struct pool_call *call)
{
    *(int64_t *)context = pool_usage(call).prompt_tokens;
}

static void note_failure(void *context, struct pool_call *call, const struct error *why)
{
    (void)context, (void)call;
    test_fail(__FILE__, __LINE__, "%s", why->text);
}

/* Tokens of the pair. */
static int64_t score(struct server *server, const struct bytes *first, const struct bytes *second,
                     bool in_slices, struct held *held)
{
    static const float value[] = {1};
    struct error err = {0};
    const struct api_prompt query = prompt_of(first), text = prompt_of(second);
    const struct pool_request request = {.source = {.request_id = "score-1", .route = "/v1/score"},
                                         .task = POOL_SCORE,
                                         .prompt = &query,
                                         .pair = &text,
                                         .n_prompts = 1,
                                         .add_special_tokens = true,
                                         .truncate_prompt_tokens = SAMPLING_UNSAID,
                                         .priority = SAMPLING_UNSAID,
                                         .deadline_ms = SAMPLING_UNSAID};
    int64_t n_tokens = -1;
    const struct pool_listener listener = {
        .done = note_pool, .failed = note_failure, .context = &n_tokens};
    server->api.reading_slice_ns = in_slices;
    CHECK(api_pool(&server->api, &request, &listener, &err) != NULL);
    CHECK_EQ(server->api.reading.first != NULL, in_slices);
    read_on(server);
    CHECK_EQ(server->n_held, 1);
    *held = server->held[0];
    server_pooled(server, 0, value, 1);
    return n_tokens;
}

TEST(both_texts_of_a_pair_may_be_long)
{
    struct server server;
    struct held at_once, in_slices;
    struct bytes first = long_text(N_BYTES), second = long_text(N_BYTES + 7), one = long_text(9);
    const struct bytes *const pair[][2] = {{&first, &second}, {&one, &first}, {&second, &one}};
    open_sliced(&server);
    server.api.model.head.pooling = POOLING_LAST;
    server.api.model.head.n_labels = 1;
    for (int i = 0; i < 3; i++) {
        const int64_t want = score(&server, pair[i][0], pair[i][1], false, &at_once);
        CHECK_EQ(score(&server, pair[i][0], pair[i][1], true, &in_slices), want);
        CHECK_EQ(in_slices.first, at_once.first);
        CHECK_EQ(in_slices.last, at_once.last);
    }
    server_close(&server);
    bytes_release(&first);
    bytes_release(&second);
    bytes_release(&one);
}

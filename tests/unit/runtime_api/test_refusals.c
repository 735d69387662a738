/* Every refusal has its kind, its code, the parameter that is wrong, and leaves nothing behind. */
#include "base/memory.h"
#include "tests/test.h"
#include "tests/unit/runtime_api/server.h"

#include <string.h>

static struct server server;

static void refuse(const struct generate_request *request, const char *code, const char *param,
                   const char *word)
{
    check_refused(&server, request, ERROR_INPUT, code, param, word);
    CHECK_EQ(server.admission.n_in_flight, 0);
}

TEST(a_model_that_is_not_served_is_not_found)
{
    server_open(&server);
    const struct api_prompt prompt = text_of("Hello");
    struct generate_request request = ask_for(&prompt, 1);
    struct heard heard;
    request.model = "gpt-4";
    refuse(&request, "model_not_found", "model", "The model `gpt-4` does not exist.");
    request.model = "other name"; /* any of its names will do, and none */
    generate_cancel(ask(&server, &request, &heard));
    request.model = "";
    generate_cancel(ask(&server, &request, &heard));
    server_hear(&server);
    server_close(&server);
}

TEST(parameters_are_refused_by_name)
{
    server_open(&server);
    const struct api_prompt prompt = text_of("Hello");
    struct generate_request request = ask_for(&prompt, 1);
    request.sampling.n = 10000;
    refuse(&request, "", "n", "10000");
    request = ask_for(&prompt, 1);
    request.sampling.max_tokens = 0;
    refuse(&request, "", "max_tokens", "max_tokens");
    request = ask_for(&prompt, 1);
    for (int64_t cut = -2; cut <= CONTEXT + 1; cut += cut == -2 ? 2 : CONTEXT + 1) {
        request.truncate_prompt_tokens = cut;
        refuse(&request, "", "truncate_prompt_tokens", "-1 (what fits)");
    }
    server_close(&server);
}

TEST(prompts_without_a_token_are_refused)
{
    server_open(&server);
    const int64_t wrong[] = {5, 2048}, negative[] = {-1};
    const struct api_prompt prompts[] = {
        {.text = ""},
        {.id = wrong, .n_ids = 0},
        {.id = wrong, .n_ids = 2},
        {.id = negative, .n_ids = 1},
        {.text = "\xff", .n_bytes = 1},
    };
    static const char *const words[] = {"no tokens", "no tokens", "2048 is no token",
                                        "-1 is no token", "UTF-8"};
    for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++) {
        struct generate_request request = ask_for(&prompts[i], 1);
        request.add_special_tokens = false;
        refuse(&request, "", "prompt", words[i]);
    }
    const struct generate_request none = ask_for(prompts, 0);
    refuse(&none, "", "prompt", "1 to 2048 prompts");
    server_close(&server);
}

TEST(more_answers_than_the_server_ever_takes_are_refused_for_good)
{
    server_open(&server);
    static struct api_prompt prompt[API_MAX_PROMPTS + 1];
    for (int i = 0; i <= API_MAX_PROMPTS; i++)
        prompt[i] = text_of("Hello");
    struct generate_request request = ask_for(prompt, API_MAX_PROMPTS + 1);
    refuse(&request, "", "prompt", "1 to 2048 prompts");
    request = ask_for(prompt, MAX_HELD + 1);
    refuse(&request, "", "prompt", "64 sequences");
    request = ask_for(prompt, MAX_HELD / 2 + 1);
    request.sampling.n = 2;
    refuse(&request, "", "n", "64 sequences");
    server_close(&server);
}

/* ---- lengths ---- */

static const int64_t many[CONTEXT * 2];

TEST(a_prompt_that_leaves_no_room_for_an_answer_exceeds_the_context)
{
    server_open(&server);
    struct heard heard;
    struct api_prompt prompt = {.id = many, .n_ids = CONTEXT};
    struct generate_request request = ask_for(&prompt, 1);
    refuse(&request, "context_length_exceeded", "prompt",
           "This model's maximum context length is 256 tokens. However, your request has 256 input "
           "tokens.");
    prompt.n_ids = CONTEXT - 1;
    generate_cancel(ask(&server, &request, &heard)); /* the default answer is cut to what fits */
    CHECK_EQ(server.held[0].max_tokens, 1);
    request.sampling.max_tokens = 2; /* one that was said is not */
    refuse(&request, "context_length_exceeded", "max_tokens",
           "This model's maximum context length is 256 tokens. However, you requested 2 output "
           "tokens and your prompt contains 255 input tokens, for a total of 257 tokens. Please "
           "reduce the length of the input prompt or the number of requested output tokens.");
    server_hear(&server);
    server_close(&server);
}

TEST(what_no_kv_cache_could_ever_hold_is_refused_before_it_waits)
{
    server_open(&server);
    struct heard heard;
    struct api_prompt prompt = {.id = many, .n_ids = 100};
    struct generate_request request = ask_for(&prompt, 1);
    server.api.model.kv_tokens = 100;
    refuse(&request, "", "prompt", "KV cache of this server has room for 100");
    prompt.n_ids = 90;
    request.sampling.max_tokens = 11;
    refuse(&request, "", "max_tokens", "KV cache of this server has room for 100");
    request.sampling.max_tokens = SAMPLING_UNSAID;
    generate_cancel(ask(&server, &request, &heard));
    CHECK_EQ(server.held[0].max_tokens, 10);
    server_hear(&server);
    server_close(&server);
}

static char *long_text(size_t n_bytes)
{
    char *text = memory_alloc(n_bytes + 1, 1);
    for (size_t i = 0; i < n_bytes; i++)
        text[i] = "every word counts "[i % 18];
    return text;
}

TEST(a_text_of_a_million_tokens_is_refused_unread)
{
    server_open(&server);
    char *text = long_text(8 << 20);
    const struct api_prompt prompt = text_of(text);
    const struct generate_request request = ask_for(&prompt, 1);
    const int64_t begin_ns = test_cpu_ns();
    refuse(&request, "context_length_exceeded", "prompt", "at least");
    CHECK(test_cpu_ns() - begin_ns < 100000000);
    server_close(&server);
    memory_free(text);
}

TEST(a_long_text_that_is_to_be_cut_is_read_where_it_is_left)
{
    server_open(&server);
    struct heard heard;
    char *text = long_text(8 << 20);
    const struct api_prompt prompt = text_of(text);
    struct generate_request request = ask_for(&prompt, 1);
    request.truncate_prompt_tokens = 20;
    request.add_special_tokens = false;
    const int64_t begin_ns = test_cpu_ns();
    const struct generate_call *call = ask(&server, &request, &heard);
    CHECK(test_cpu_ns() - begin_ns < 1000000000);
    /* the tokens are those of the end of the text, as if all of it had been read */
    struct ids end = {0};
    struct error err = {0};
    CHECK(intake_text(&server.intake, text + (8 << 20) - 180, 180, &end, &err));
    const struct ids *got = generate_prompt_ids(call, 0);
    CHECK_EQ(got->n, 20);
    CHECK(memcmp(got->data, end.data + end.n - 20, 20 * sizeof *got->data) == 0);
    ids_release(&end);
    generate_cancel((struct generate_call *)call);
    server_hear(&server);
    server_close(&server);
    memory_free(text);
}

/* ---- chats ---- */

static void refuse_chat(const char *json, const char *code, const char *word)
{
    json_t *messages = json_loads(json, JSON_DECODE_ANY, NULL);
    struct generate_request request = ask_for(NULL, 0);
    CHECK(messages != NULL);
    request.messages = messages;
    request.add_generation_prompt = true;
    refuse(&request, code, "messages", word);
    json_decref(messages);
}

TEST(chats_that_are_none_are_refused)
{
    server_open(&server);
    refuse_chat("[]", "", "messages");
    refuse_chat("{}", "", "messages");
    refuse_chat("[{\"role\": \"user\", \"content\": [{\"type\": \"image_url\", \"image_url\": "
                "{\"url\": \"http://169.254.169.254/\"}}]}]",
                "", "image_url");
    server.api.chat = NULL;
    refuse_chat("[{\"role\": \"user\", \"content\": \"Hi\"}]", "", "no chat template");
    server_close(&server);
}

TEST(a_chat_that_is_too_long_exceeds_the_context_unread)
{
    server_open(&server);
    char *text = long_text(1 << 20);
    json_t *messages = json_pack("[{s:s,s:s}]", "role", "user", "content", text);
    struct generate_request request = ask_for(NULL, 0);
    request.messages = messages;
    refuse(&request, "context_length_exceeded", "messages", "at least");
    json_decref(messages);
    memory_free(text);
    server_close(&server);
}

/* ---- admission ---- */

static void refuse_now(const char *code, enum admission_state state)
{
    const struct api_prompt prompt = text_of("Hello");
    const struct generate_request request = ask_for(&prompt, 1);
    server.admission.state = state;
    check_refused(&server, &request, ERROR_LIMIT, code, "", "");
}

TEST(nobody_is_let_in_while_the_server_starts_sleeps_or_drains)
{
    server_open(&server);
    refuse_now("not_ready", ADMISSION_STARTING);
    refuse_now("sleeping", ADMISSION_SLEEPING);
    refuse_now("draining", ADMISSION_DRAINING);
    CHECK_EQ(server.admission.n_refused, 3);
    server_close(&server);
}

TEST(a_full_queue_takes_nobody_until_somebody_has_ended)
{
    server_open(&server);
    struct heard heard;
    struct error err = {0};
    const struct api_prompt prompt = text_of("Hello");
    struct generate_request request = ask_for(&prompt, 1);
    const struct generate_listener listener = listener_of(&heard);
    server.admission.max_in_flight = 3;
    request.sampling.n = 2;
    struct generate_call *call = ask(&server, &request, &heard);
    CHECK(api_generate(&server.api, &request, &listener, &err) == NULL);
    CHECK_EQ(err.kind, ERROR_LIMIT);
    CHECK_STR(err.code, "queue_full");
    CHECK_EQ(server.admission.n_in_flight, 2);
    generate_cancel(call);
    generate_cancel(ask(&server, &request, &heard));
    server_hear(&server);
    server_close(&server);
}

TEST(it_says_when_to_come_back)
{
    struct admission admission = {0};
    for (int state = ADMISSION_OPEN; state <= ADMISSION_DRAINING; state++) {
        admission.state = (enum admission_state)state;
        CHECK(admission_retry_after_s(&admission) >= 1);
    }
}

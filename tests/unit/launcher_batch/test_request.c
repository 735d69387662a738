#include "launcher/batch/answer.h"
#include "launcher/batch/request.h"
#include "launcher/batch/seen.h"
#include "tests/test.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static struct batch_request read_as(const char *text, uint64_t number, uint64_t seed,
                                    struct batch_seen *seen)
{
    struct batch_request request;
    const struct batch_line line = {
        .number = number, .line = number + 1, .text = text, .n_bytes = strlen(text)};
    batch_request_read(&request, &line, seed, seen);
    return request;
}

static void check_refused(const char *text, const char *code, const char *custom_id)
{
    struct batch_seen seen = {0};
    struct batch_request request = read_as(text, 6, 0, &seen);
    CHECK_EQ(request.why.kind, ERROR_INPUT);
    CHECK_STR(request.why.code, code);
    CHECK(strncmp(request.why.text, "line 7: ", 8) == 0);
    CHECK_STR(request.custom_id != NULL ? request.custom_id : "(none)", custom_id);
    batch_request_release(&request);
    batch_seen_release(&seen);
}

#define CALL "\"method\": \"POST\", \"url\": \"/v1/completions\""

TEST(a_request_has_an_id_a_url_and_a_body)
{
    struct batch_seen seen = {0};
    struct batch_request r =
        read_as("{\"custom_id\": \"a\", " CALL ", \"body\": {\"prompt\": \"x\", \"top_p\": 0.1}}",
                0, 0, &seen);
    CHECK_EQ(r.why.kind, ERROR_NONE);
    CHECK_STR(r.custom_id, "a");
    CHECK_STR(r.url, "/v1/completions");
    CHECK_EQ(r.n_body, strlen(r.body));
    json_t *body = json_loads(r.body, 0, NULL);
    CHECK_STR(json_string_value(json_object_get(body, "prompt")), "x");
    CHECK(json_real_value(json_object_get(body, "top_p")) == 0.1); /* the very number */
    json_decref(body);
    batch_request_release(&r);
    batch_seen_release(&seen);
}

TEST(what_is_wrong_with_a_line_is_named_and_whose_it_is)
{
    check_refused("{\"custom_id\": \"a\", " CALL ", \"body\": {\"prompt\": ", "invalid_json_line",
                  "a");
    check_refused("{\"body\": {\"custom_id\": \"b\"}, \"custom_id\": \"c\", ]", "invalid_json_line",
                  "c");
    check_refused("{\"x\": \"\\\"custom_id\\\": 1\", \"custom_id\":\"\\u0041\" ",
                  "invalid_json_line", "A");
    check_refused("{\"custom_id\": \"a", "invalid_json_line", "(none)");
    check_refused("{\"custom_id\": \"a\\", "invalid_json_line", "(none)");
    check_refused("{\"custom_id\"", "invalid_json_line", "(none)");
    check_refused("{\"ns\", \"body\": eam\": true}}\n", "invalid_json_line", "(none)");
    check_refused("\xff", "invalid_json_line", "(none)");
    check_refused("[1]", "invalid_request", "(none)");
    check_refused("{" CALL ", \"body\": {}}", "invalid_request", "(none)");
    check_refused("{\"custom_id\": 5, " CALL ", \"body\": {}}", "invalid_request", "(none)");
    check_refused("{\"custom_id\": \"\", " CALL ", \"body\": {}}", "invalid_request", "");
    check_refused("{\"custom_id\": \"a\", \"method\": \"GET\", \"url\": \"/x\", \"body\": {}}",
                  "invalid_request", "a");
    check_refused("{\"custom_id\": \"a\", \"method\": \"POST\", \"body\": {}}", "invalid_url", "a");
    check_refused("{\"custom_id\": \"a\", " CALL "}", "invalid_request", "a");
    check_refused("{\"custom_id\": \"a\", " CALL ", \"body\": \"{}\"}", "invalid_request", "a");
    check_refused("{\"custom_id\": \"a\", " CALL ", \"body\": {\"stream\": true}}",
                  "invalid_request", "a");
}

TEST(the_later_one_of_two_with_the_same_id_is_refused)
{
    const char text[] = "{\"custom_id\": \"a\", " CALL ", \"body\": {}}";
    struct batch_seen seen = {0};
    struct batch_request first = read_as(text, 0, 0, &seen), second = read_as(text, 1, 0, &seen);
    CHECK_EQ(first.why.kind, ERROR_NONE);
    CHECK_STR(second.why.code, "duplicate_custom_id");
    CHECK_STR(second.custom_id, "a");
    batch_request_release(&first);
    batch_request_release(&second);
    batch_seen_release(&seen);
}

TEST(many_ids_are_told_apart)
{
    struct batch_seen seen = {0};
    char id[32];
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < 10000; i++) {
            const int n = snprintf(id, sizeof id, "request-%d", i);
            CHECK_EQ(batch_seen_add(&seen, id, (size_t)n), pass == 0);
        }
    CHECK_EQ(seen.n, 10000);
    CHECK(4 * seen.n <= 3 * seen.n_slots);
    batch_seen_release(&seen);
}

TEST(ids_and_seeds_come_from_the_line_its_number_and_the_seed)
{
    const char text[] = "{\"custom_id\": \"a\"}", other[] = "{\"custom_id\": \"b\"}";
    struct batch_seen seen = {0};
    struct batch_request r[] = {read_as(text, 0, 0, &seen), read_as(text, 0, 0, &seen),
                                read_as(text, 1, 0, &seen), read_as(other, 0, 0, &seen),
                                read_as(text, 0, 9, &seen)};
    CHECK_STR(r[0].id, r[1].id);
    CHECK(r[0].seed == r[1].seed);
    CHECK(strcmp(r[0].id, r[2].id) != 0 && r[0].seed != r[2].seed);
    CHECK(strcmp(r[0].id, r[3].id) != 0 && r[0].seed != r[3].seed);
    CHECK_STR(r[0].id, r[4].id);
    CHECK(r[0].seed != r[4].seed);
    for (size_t i = 0; i < sizeof r / sizeof *r; i++) {
        CHECK(r[i].seed > 0 && r[i].seed <= INT64_MAX);
        batch_request_release(&r[i]);
    }
    batch_seen_release(&seen);
}

static json_t *parse(const struct bytes *line)
{
    CHECK(memchr(line->data, '\n', line->len) == NULL);
    json_t *value = json_loadb(line->data, line->len, 0, NULL);
    CHECK(value != NULL);
    return value;
}

static const char *text_at(const json_t *object, const char *key, const char *inner)
{
    const char *text = json_string_value(json_object_get(json_object_get(object, key), inner));
    return text != NULL ? text : "(none)";
}

TEST(an_answer_is_one_line_with_the_body_as_it_was)
{
    static const char body[] = "{\"x\":\n 0.1,\r\n\"text\": \"a\\nb\"}";
    struct batch_request request = {.id = "0123", .custom_id = (char *)(uintptr_t) "a\"b"};
    struct bytes line = {0};
    batch_answer_write(&line, &request, 200, body, sizeof body - 1);
    CHECK(strstr(line.data, "\"body\":{\"x\":  0.1,  \"text\": \"a\\nb\"}") != NULL);
    json_t *value = parse(&line);
    CHECK_STR(json_string_value(json_object_get(value, "id")), "batch_req_0123");
    CHECK_STR(json_string_value(json_object_get(value, "custom_id")), "a\"b");
    CHECK_STR(text_at(value, "response", "request_id"), "req_0123");
    CHECK(json_is_null(json_object_get(value, "error")));
    json_decref(value);
    bytes_release(&line);
}

TEST(an_answer_that_is_an_error_says_so_twice)
{
    static const char body[] = "{\"error\":{\"message\":\"no\",\"code\":\"queue_full\"}}";
    static const char plain[] = "{\"error\":{\"message\":\"bad\",\"code\":400}}";
    struct batch_request request = {.id = "0123"};
    struct bytes line = {0};
    batch_answer_write(&line, &request, 429, body, sizeof body - 1);
    json_t *value = parse(&line);
    CHECK_STR(text_at(value, "error", "code"), "queue_full");
    CHECK_STR(text_at(value, "error", "message"), "no");
    CHECK(json_is_object(json_object_get(json_object_get(value, "response"), "body")));
    CHECK(json_is_null(json_object_get(value, "custom_id")));
    json_decref(value);
    bytes_clear(&line);
    batch_answer_write(&line, &request, 400, plain, sizeof plain - 1);
    value = parse(&line);
    CHECK_STR(text_at(value, "error", "code"), "400");
    json_decref(value);
    bytes_release(&line);
}

TEST(a_request_that_was_not_sent_has_no_response)
{
    struct batch_request request = {.id = "0123", .custom_id = (char *)(uintptr_t) "a"};
    struct bytes line = {0};
    batch_request_refuse(&request, "invalid_url", "url: no");
    batch_answer_write_refused(&line, &request, &request.why);
    json_t *value = parse(&line);
    CHECK(json_is_null(json_object_get(value, "response")));
    CHECK_STR(text_at(value, "error", "code"), "invalid_url");
    json_decref(value);
    bytes_release(&line);
}

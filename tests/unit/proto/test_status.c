#include "proto/status.h"

#include "tests/test.h"

static struct status status_for(enum error_kind kind, const char *code)
{
    struct error err = {0};
    error_set(&err, kind, "x");
    error_code(&err, code);
    return status_of(&err);
}

TEST(a_code_decides_before_the_kind_does)
{
    static const struct {
        const char *code;
        int http, grpc;
    } want[] = {
        {"model_not_found", 404, 5},
        {"context_length_exceeded", 400, 3},
        {"unauthorized", 401, 16},
        {"not_found", 404, 12},
        {"method_not_allowed", 405, 12},
        {"deadline_exceeded", 408, 4},
        {"queue_full", 429, 8},
        {"draining", 503, 14},
        {"sleeping", 503, 14},
        {"not_ready", 503, 14},
        {"too_large", 413, 8},
        {"engine_crash", 500, 13},
        {"non_finite_logits", 500, 13},
        {"superseded", 409, 10},
        {"unsupported_encoding", 415, 12},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        const struct status got = status_for(ERROR_INPUT, want[i].code);
        CHECK_EQ(got.http, want[i].http);
        CHECK_EQ(got.grpc, want[i].grpc);
    }
}

TEST(without_a_code_the_kind_decides)
{
    CHECK_EQ(status_for(ERROR_INPUT, "").http, 400);
    CHECK_EQ(status_for(ERROR_LIMIT, "").http, 429);
    CHECK_EQ(status_for(ERROR_UNSUPPORTED, "").http, 501);
    CHECK_EQ(status_for(ERROR_SYSTEM, "").http, 500);
    CHECK_EQ(status_for(ERROR_PEER, "").http, 500);
    CHECK_EQ(status_for(ERROR_INPUT, "never_heard_of").http, 400);
    CHECK_STR(status_for(ERROR_INPUT, "").type, "BadRequestError");
}

TEST(the_body_has_the_code_or_else_the_number)
{
    struct error err = {0};
    struct bytes out = {0};
    error_set(&err, ERROR_INPUT, "a \"b\"\n");
    error_param(&err, "n");
    status_write_json(&out, &err);
    CHECK_STR(out.data, "{\"error\":{\"message\":\"a \\\"b\\\"\\n\",\"type\":\"BadRequestError\","
                        "\"param\":\"n\",\"code\":400}}");
    bytes_clear(&out);
    error_code(&err, "model_not_found");
    status_write_json(&out, &err);
    CHECK_STR(out.data, "{\"error\":{\"message\":\"a \\\"b\\\"\\n\",\"type\":\"NotFoundError\","
                        "\"param\":\"n\",\"code\":\"model_not_found\"}}");
    bytes_release(&out);
}

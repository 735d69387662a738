#include "runtime/gateway/generation_config.h"

#include "base/error.h"
#include "runtime/request/params.h"
#include "tests/files.h"
#include "tests/test.h"

#include <string.h>

static bool read_text(const char *text, struct sampling_params *params, struct error *err)
{
    const struct folder folder = folder_make();
    if (text != NULL)
        folder_write(&folder, "generation_config.json", text, strlen(text));
    *params = params_default();
    *err = (struct error){0};
    const bool good = generation_config_read(params, folder.path, err);
    folder_remove(&folder);
    return good;
}

TEST(a_model_says_how_it_wants_to_be_sampled)
{
    struct sampling_params params;
    struct error err;
    CHECK(read_text("{\"temperature\": 0.6, \"top_p\": 0.9, \"top_k\": 50, \"max_new_tokens\": 77,"
                    "\"min_p\": null, \"do_sample\": true, \"eos_token_id\": [1, 2]}",
                    &params, &err));
    CHECK(params.temperature == 0.6f && params.top_p == 0.9f && params.min_p == 0.0f);
    CHECK_EQ(params.top_k, 50);
    CHECK_EQ(params.max_tokens, 77);
}

TEST(no_file_says_nothing)
{
    struct sampling_params params;
    const struct sampling_params plain = params_default();
    struct error err;
    CHECK(read_text(NULL, &params, &err));
    CHECK(memcmp(&params, &plain, sizeof plain) == 0);
}

TEST(a_value_out_of_range_is_refused_with_file_and_key)
{
    static const char *const bad[] = {"{\"temperature\": -1}", "{\"top_p\": 0}",
                                      "{\"top_k\": \"many\"}", "{\"max_new_tokens\": 1e99}",
                                      "{\"temperature\"",      "[]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct sampling_params params;
        struct error err;
        CHECK(!read_text(bad[i], &params, &err));
        CHECK_EQ(err.kind, ERROR_INPUT);
        CHECK(strstr(err.text, "generation_config.json") != NULL);
    }
}

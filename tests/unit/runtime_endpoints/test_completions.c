#include "tests/test.h"
#include "tests/unit/runtime_endpoints/fake_api.h"

#define HEAD                                                                                 \
    "{\"id\":\"cmpl-test\",\"object\":\"text_completion\",\"created\":0,\"model\":\"tiny\"," \
    "\"choices\":["
#define CHUNK "data: " HEAD

static const char path[] = "/v1/completions";

TEST(a_completion_is_the_object_that_clients_know)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path, "{\"model\": \"tiny\", \"prompt\": \"Once upon\"}");
    CHECK_STR(fake->asked_text.data, "Once upon|");
    CHECK_STR(fake->asked_model, "tiny");
    CHECK_EQ(fake->asked.default_max_tokens, 16);
    CHECK(fake->asked.add_special_tokens);
    fake_say(fake, 0, 0, " a time");
    fake_end(fake, 0, 0, FINISH_LENGTH);
    fake_done(fake);
    check_body(fake, 200,
               HEAD "{\"index\":0,\"text\":\" a time\",\"logprobs\":null,\"finish_reason\":"
                    "\"length\",\"stop_reason\":null,\"token_ids\":null,\"prompt_logprobs\":null,"
                    "\"prompt_token_ids\":null}],\"service_tier\":null,"
                    "\"system_fingerprint\":null,\"usage\":{\"prompt_tokens\":3,"
                    "\"total_tokens\":5,\"completion_tokens\":2,\"prompt_tokens_details\":"
                    "{\"cached_tokens\":1}},\"kv_transfer_params\":null}");
    CHECK_STR(fake->heard.type, "application/json");
    fake_close(fake);
}

TEST(a_streamed_completion_is_a_chunk_a_token)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", path,
              "{\"prompt\": [1, 2], \"stream\": true, \"stream_options\": "
              "{\"include_usage\": true}}");
    CHECK_EQ(fake->heard.n_begun, 0);
    fake_say(fake, 0, 0, " a time");
    fake_end(fake, 0, 0, FINISH_STOP);
    fake_done(fake);
    check_stream(
        fake, CHUNK
        "{\"index\":0,\"text\":\" a\",\"logprobs\":null,\"finish_reason\":null}]}\n\n" CHUNK
        "{\"index\":0,\"text\":\" time\",\"logprobs\":null,\"finish_reason\":null}]}\n\n" CHUNK
        "{\"index\":0,\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"stop\","
        "\"stop_reason\":null}]}\n\n" CHUNK
        "],\"usage\":{\"prompt_tokens\":2,\"total_tokens\":4,\"completion_tokens\":2,"
        "\"prompt_tokens_details\":{\"cached_tokens\":1}}}\n\ndata: [DONE]\n\n");
    CHECK_STR(fake->heard.type, "text/event-stream");
    fake_close(fake);
}

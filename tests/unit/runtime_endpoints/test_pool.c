#include "tests/test.h"
#include "tests/unit/runtime_endpoints/fake_api.h"

#include <string.h>

#define USAGE(n) \
    ",\"usage\":{\"prompt_tokens\":" n ",\"total_tokens\":" n ",\"completion_tokens\":0}"

static const float half[] = {0.5f, -0.25f}, quarter[] = {0.25f}, whole[] = {1};

TEST(each_input_is_an_embedding)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", "/v1/embeddings",
              "{\"input\": [\"a\", \"b\"], \"model\": \"tiny\", \"dimensions\": 2}");
    CHECK_STR(fake->asked_text.data, "a|b|");
    CHECK_EQ(fake->pooled.task, POOL_EMBED);
    CHECK_EQ(fake->pooled.dimensions, 2);
    CHECK(fake->pooled.normalize && fake->pooled.add_special_tokens);
    CHECK(fake->pooled.pair == NULL);
    fake_value(fake, 0, half, 2);
    fake_value(fake, 1, half, 2);
    fake_pooled(fake);
    check_body(fake, 200,
               "{\"id\":\"embd-test\",\"object\":\"list\",\"created\":0,\"model\":\"tiny\","
               "\"data\":[{\"index\":0,\"object\":\"embedding\",\"embedding\":[0.5,-0.25]},"
               "{\"index\":1,\"object\":\"embedding\",\"embedding\":[0.5,-0.25]}]" USAGE("4") "}");
    fake_close(fake);
}

TEST(an_embedding_may_be_base64)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", "/v1/embeddings",
              "{\"input\": \"a\", \"encoding_format\": \"base64\"}");
    fake_value(fake, 0, half, 2);
    fake_pooled(fake);
    CHECK(strstr(fake->heard.body.data, "\"embedding\":\"AAAAPwAAgL4=\"") != NULL);
    fake_close(fake);
}

TEST(one_query_is_scored_with_each_document)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", "/v1/score", "{\"text_1\": \"q\", \"text_2\": [\"a\", \"b\"]}");
    CHECK_STR(fake->asked_text.data, "q|q|+a|+b|");
    CHECK_EQ(fake->pooled.task, POOL_SCORE);
    fake_value(fake, 0, quarter, 1);
    fake_value(fake, 1, whole, 1);
    fake_pooled(fake);
    check_body(fake, 200,
               "{\"id\":\"score-test\",\"object\":\"list\",\"created\":0,\"model\":\"tiny\","
               "\"data\":[{\"index\":0,\"object\":\"score\",\"score\":0.25},"
               "{\"index\":1,\"object\":\"score\",\"score\":1}]" USAGE("4") "}");
    fake_close(fake);
}

TEST(a_rerank_has_the_best_document_first)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", "/v1/rerank",
              "{\"query\": \"q\", \"documents\": [\"a\", {\"text\": \"b\"}], \"top_n\": 0}");
    CHECK_EQ(fake->heard.status, 400); /* mixed */
    fake_forget(fake);
    fake_call(fake, "POST", "/rerank",
              "{\"query\": \"q\", \"documents\": [{\"text\": \"a\"}, {\"text\": \"b\"}],"
              " \"top_n\": 1}");
    CHECK_STR(fake->asked_text.data, "q|q|+a|+b|");
    fake_value(fake, 0, quarter, 1);
    fake_value(fake, 1, whole, 1);
    fake_pooled(fake);
    check_body(fake, 200,
               "{\"id\":\"rerank-test\",\"model\":\"tiny\",\"usage\":{\"prompt_tokens\":4,"
               "\"total_tokens\":4},\"results\":["
               "{\"index\":1,\"document\":{\"text\":\"b\",\"multi_modal\":null},"
               "\"relevance_score\":1}]}");
    fake_close(fake);
}

TEST(a_rerank_of_texts_is_answered_as_text_embeddings_inference_does)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", "/rerank",
              "{\"query\": \"q\", \"texts\": [\"a\", \"b\"], \"raw_scores\": false}");
    CHECK(fake->pooled.normalize);
    CHECK(fake->pooled.truncate_prompt_tokens == SAMPLING_UNSAID);
    fake_value(fake, 0, quarter, 1);
    fake_value(fake, 1, whole, 1);
    fake_pooled(fake);
    check_body(fake, 200, "[{\"index\":1,\"score\":1},{\"index\":0,\"score\":0.25}]");
    fake_forget(fake);
    fake_call(fake, "POST", "/rerank",
              "{\"query\": \"q\", \"texts\": [\"a\"], \"raw_scores\": true, \"return_text\": true, "
              "\"truncate\": true}");
    CHECK(!fake->pooled.normalize);
    CHECK_EQ(fake->pooled.truncate_prompt_tokens, -1);
    fake_value(fake, 0, quarter, 1);
    fake_pooled(fake);
    check_body(fake, 200, "[{\"index\":0,\"text\":\"a\",\"score\":0.25}]");
    fake_close(fake);
}

TEST(a_classification_has_the_likeliest_label)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", "/classify", "{\"input\": \"a\"}");
    CHECK_EQ(fake->pooled.task, POOL_CLASSIFY);
    fake_value(fake, 0, half, 2);
    fake_pooled(fake);
    check_body(fake, 200,
               "{\"id\":\"classify-test\",\"object\":\"list\",\"created\":0,\"model\":\"tiny\","
               "\"data\":[{\"index\":0,\"label\":\"LABEL_0\",\"probs\":[0.5,-0.25],"
               "\"num_classes\":2}]" USAGE("2") "}");
    fake_close(fake);
}

TEST(a_pooling_is_what_the_model_is_made_for_unless_it_is_said)
{
    static const struct {
        const char *body;
        int n_labels;
        enum pool_task want;
    } cases[] = {
        {"{\"input\": \"a\"}", 0, POOL_EMBED},
        {"{\"input\": \"a\"}", 2, POOL_CLASSIFY},
        {"{\"input\": \"a\", \"task\": null}", 2, POOL_CLASSIFY},
        {"{\"input\": \"a\", \"task\": \"embed\"}", 2, POOL_EMBED},
        {"{\"input\": \"a\", \"task\": \"classify\"}", 0, POOL_CLASSIFY},
    };
    struct fake *fake = fake_open();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fake->api.model.head.n_labels = cases[i].n_labels;
        fake_call(fake, "POST", "/pooling", cases[i].body);
        CHECK_EQ(fake->pooled.task, cases[i].want);
        fake_value(fake, 0, half, 2);
        fake_pooled(fake);
        check_body(
            fake, 200,
            "{\"id\":\"pool-test\",\"object\":\"list\",\"created\":0,\"model\":\"tiny\","
            "\"data\":[{\"index\":0,\"object\":\"pooling\",\"data\":[0.5,-0.25]}]" USAGE("2") "}");
        fake_forget(fake);
    }
    fake_call(fake, "POST", "/pooling", "{\"input\": \"a\", \"encoding_format\": \"base64\"}");
    fake_value(fake, 0, half, 2);
    fake_pooled(fake);
    CHECK(strstr(fake->heard.body.data, "\"data\":\"AAAAPwAAgL4=\"") != NULL);
    fake_close(fake);
}

TEST(rewards_are_plain_numbers)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", "/v1/score/evaluation", "{\"model\": \"tiny\", \"messages\": [\"a\"]}");
    CHECK(!fake->pooled.normalize && !fake->pooled.add_special_tokens);
    fake_value(fake, 0, quarter, 1);
    fake_pooled(fake);
    check_body(fake, 200,
               "{\"id\":\"scoreval-test\",\"object\":\"score.evaluation\","
               "\"model\":\"tiny\",\"scores\":[0.25]}");
    fake_close(fake);
}

TEST(what_cannot_be_pooled_is_refused_with_its_field)
{
    static const char *const wrong[][3] = {
        {"/v1/embeddings", "{}", "input"},
        {"/v1/embeddings", "{\"input\": []}", "input"},
        {"/v1/embeddings", "{\"input\": \"a\", \"dimensions\": 0}", "dimensions"},
        {"/v1/embeddings", "{\"input\": \"a\", \"encoding_format\": \"bytes\"}", "encoding_format"},
        {"/v1/embeddings", "{\"input\": \"a\", \"embed_dtype\": \"float16\"}", "embed_dtype"},
        {"/score", "{\"text_1\": [\"a\", \"b\"], \"text_2\": [\"c\"]}", "text_2"},
        {"/score", "{\"text_2\": [\"c\"]}", "text_1"},
        {"/v2/rerank", "{\"query\": \"a\"}", "documents"},
        {"/v2/rerank", "{\"query\": \"a\", \"documents\": [\"b\"], \"top_n\": -1}", "top_n"},
        {"/classify", "{\"input\": 5}", "input"},
        {"/pooling", "{\"input\": \"a\", \"task\": \"token_embed\"}", "task"},
        {"/classify", "{\"messages\": [{}]}", "messages"},
        {"/v1/embeddings", "{\"input\": \"a\", \"endianness\": \"big\"}", "endianness"},
        {"/v1/embeddings", "{\"input\": \"a\", \"truncation_side\": \"left\"}", "truncation_side"},
        {"/v1/embeddings", "{\"input\": \"a\", \"request_id\": \"a b\"}", "request_id"},
        {"/rerank", "{\"query\": \"a\", \"documents\": \"b\", \"max_tokens_per_doc\": 9}",
         "max_tokens_per_doc"},
        {"/score", "{\"text_1\": \"a\", \"text_2\": \"b\", \"max_tokens_per_query\": 9}",
         "max_tokens_per_query"},
        {"/score", "{\"text_1\": \"a\", \"text_2\": \"b\", \"instruction\": \"i\"}", "instruction"},
    };
    struct fake *fake = fake_open();
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char param[64];
        fake_call(fake, "POST", wrong[i][0], wrong[i][1]);
        CHECK_EQ(fake->heard.status, 400);
        snprintf(param, sizeof param, "\"param\":\"%s\"", wrong[i][2]);
        if (strstr(fake->heard.body.data, param) == NULL)
            test_fail(__FILE__, __LINE__, "no %s in %s", param, fake->heard.body.data);
        fake_forget(fake);
    }
    fake_close(fake);
}

TEST(a_failure_of_the_model_is_an_error_and_a_user_can_go)
{
    struct fake *fake = fake_open();
    fake_call(fake, "POST", "/classify", "{\"input\": \"a\"}");
    fake_fail(fake, ERROR_UNSUPPORTED, "", "no head");
    check_body(fake, 501,
               "{\"error\":{\"message\":\"no head\",\"type\":\"NotImplementedError\","
               "\"param\":null,\"code\":501}}");
    fake_forget(fake);
    fake_call(fake, "POST", "/classify", "{\"input\": \"a\"}");
    endpoints_cancel(fake->call);
    CHECK_EQ(fake->n_cancelled, 1);
    fake_close(fake);
}

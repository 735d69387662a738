#include "proto/request_output.h"
#include "tests/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void contains(const struct bytes *text, const char *want)
{
    if (strstr(text->data, want) == NULL)
        test_fail(__FILE__, __LINE__, "no %s in\n%s", want, text->data);
}

TEST(a_request_becomes_the_structure_that_clients_know)
{
    const int32_t prompt[] = {1, 2}, tokens[] = {5, 9}, logprob_end[] = {2, 5};
    const float third = -1.0f / 3;
    const struct json_logprob logprob[] = {{5, third, 1, {"a\"b", 3}},
                                           {7, -2.5f, 2, {"\n", 1}},
                                           {9, -3.0f, 3, {"\xc3\xa9", 2}},
                                           {7, -0.5f, 1, {"x\0y", 3}},
                                           {9, -3.0f, 3, {"\xc3\xa9", 2}}};
    const struct json_choice choice = {.text = {"a\x01\0\t\\", 5},
                                       .token_ids = tokens,
                                       .n_tokens = 2,
                                       .cumulative_logprob = -3.25,
                                       .has_cumulative = true,
                                       .has_logprobs = true,
                                       .logprobs = {logprob, logprob_end, 2},
                                       .finish_reason = "stop",
                                       .stop_token = 9};
    const struct json_request request = {.request_id = "0",
                                         .prompt = "hi",
                                         .prompt_ids = prompt,
                                         .n_prompt = 2,
                                         .n_cached = 1,
                                         .seed = 42,
                                         .choice = &choice,
                                         .n_choices = 1};
    struct bytes text = {0};
    request_output_write(&text, &request);
    contains(&text, "\"prompt\": \"hi\"");
    contains(&text, "\"prompt_token_ids\": [1, 2]");
    contains(&text, "\"text\": \"a\\u0001\\u0000\\t\\\\\"");
    contains(&text, "{\"5\": {\"logprob\": -0.333333343, \"rank\": 1, \"decoded_token\": "
                    "\"a\\\"b\"}, \"7\": {\"logprob\": -2.5");
    /* the chosen token is also among the best: one key */
    contains(&text, "{\"9\": {\"logprob\": -3, \"rank\": 3, \"decoded_token\": \"\xc3\xa9\"}, "
                    "\"7\": {\"logprob\": -0.5, \"rank\": 1, \"decoded_token\": \"x\\u0000y\"}}");
    contains(&text, "\"stop_reason\": 9");
    contains(&text, "\"seed\": 42");
    contains(&text, "\"completion_tokens\": 2, \"total_tokens\": 4");
    CHECK(strtof("-0.333333343", NULL) == third); /* nine digits bring the float back */
    bytes_release(&text);
}

TEST(what_is_absent_is_null_and_infinity_has_a_number)
{
    const int32_t tokens[] = {5}, logprob_end[] = {1};
    const struct json_logprob logprob = {5, -INFINITY, 1, {"", 0}};
    struct json_choice choice = {.token_ids = tokens, .n_tokens = 1, .stop_token = -1};
    const struct json_request request = {.request_id = "r", .choice = &choice, .n_choices = 1};
    struct bytes text = {0};
    request_output_write(&text, &request);
    contains(&text, "\"prompt\": null");
    contains(&text, "\"logprobs\": null");
    contains(&text, "\"cumulative_logprob\": null");
    contains(&text, "\"finish_reason\": null");
    contains(&text, "\"stop_reason\": null");
    bytes_clear(&text);
    choice.has_cumulative = choice.has_logprobs = true;
    choice.logprobs = (struct json_logprob_rows){&logprob, logprob_end, 1};
    choice.cumulative_logprob = (double)-INFINITY;
    request_output_write(&text, &request);
    contains(&text, "\"logprob\": -9999,");
    contains(&text, "\"cumulative_logprob\": -9999,");
    bytes_release(&text);
}

static struct json_request with_prompt_logprobs(struct json_choice *choice)
{
    static const int32_t prompt[] = {1, 2, 3}, end[] = {1, 3};
    static const struct json_logprob logprob[] = {
        {2, -1, 1, {"a\nb", 3}}, {3, -2, 2, {"c", 1}}, {9, -0.5f, 1, {"d", 1}}};
    *choice = (struct json_choice){.stop_token = -1};
    return (struct json_request){.request_id = "0",
                                 .prompt_ids = prompt,
                                 .n_prompt = 3,
                                 .n_drafted = 8,
                                 .n_accepted = 5,
                                 .has_prompt_logprobs = true,
                                 .prompt_logprobs = {logprob, end, 2},
                                 .choice = choice,
                                 .n_choices = 1};
}

TEST(the_first_token_of_a_prompt_has_no_log_probability)
{
    struct json_choice choice;
    const struct json_request request = with_prompt_logprobs(&choice);
    struct bytes text = {0};
    request_output_write(&text, &request);
    contains(&text, "\"prompt_logprobs\": [null,\n      {\"2\": {\"logprob\": -1");
    contains(&text, "},\n      {\"3\": {\"logprob\": -2, \"rank\": 2, \"decoded_token\": \"c\"}, "
                    "\"9\": {");
    contains(&text, "\"num_drafted_tokens\": 8,\n    \"num_accepted_tokens\": 5,");
    bytes_release(&text);
}

TEST(a_line_is_the_same_object_without_its_newlines)
{
    struct json_choice choice;
    const struct json_request request = with_prompt_logprobs(&choice);
    struct bytes line = {0};
    request_output_write_line(&line, &request);
    CHECK(strchr(line.data, '\n') == NULL);
    static const char begin[] = "{\"request_id\": \"0\", \"prompt\": null, ";
    CHECK(strncmp(line.data, begin, sizeof begin - 1) == 0);
    contains(&line, "\"prompt_logprobs\": [null, {\"2\"");
    contains(&line, "\"decoded_token\": \"a\\nb\"}}, {\"3\"");
    contains(&line, "\"total_tokens\": 3}}");
    bytes_release(&line);
}

TEST(a_beam_has_its_score)
{
    struct json_choice choice = {.stop_token = -1,
                                 .has_cumulative = true,
                                 .has_score = true,
                                 .score = -0.25,
                                 .cumulative_logprob = -1.5};
    const struct json_request request = {.request_id = "0", .choice = &choice, .n_choices = 1};
    struct bytes text = {0};
    request_output_write(&text, &request);
    contains(&text, "\"cumulative_logprob\": -1.5,\n        \"score\": -0.25,\n        "
                    "\"logprobs\": null");
    bytes_release(&text);
}

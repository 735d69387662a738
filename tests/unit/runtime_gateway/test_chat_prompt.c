#include "runtime/gateway/chat_prompt.h"

#include "base/error.h"
#include "runtime/options/options.h"
#include "runtime/text/chat_template.h"
#include "runtime/text/detokenizer.h"
#include "tests/files.h"
#include "tests/test.h"
#include "tests/unit/runtime_gateway/demo_intake.h"

#include <string.h>

/* Shows all that it sees. */
static const char template_text[] =
    "{% for m in messages %}{{ m.role }} says {{ m.content }}. {% endfor %}"
    "{% if tools %}tools {{ tools | length }}. {% endif %}"
    "{% if documents %}documents {{ documents | length }}. {% endif %}"
    "{{ mood }} {{ place }}{% if add_generation_prompt %} go{% endif %}";

static void open_prompt(struct chat_prompt *out, struct chat_template **t, const char *variables)
{
    const struct folder folder = folder_make();
    const struct options options = {.content_format = "auto", .template_variables = variables};
    struct error err = {0};
    folder_write(&folder, "chat_template.jinja", template_text, sizeof template_text - 1);
    const bool good =
        chat_template_open(t, folder.path, NULL, &err) && chat_prompt_init(out, *t, &options, &err);
    folder_remove(&folder);
    if (!good)
        test_fail(__FILE__, __LINE__, "%s", err.text);
}

/* The request as JSON: keys of a body of /v1/chat/completions. */
static bool make(struct ids *out, const char *variables, const char *request, struct error *err)
{
    struct chat_template *t;
    struct chat_prompt prompt;
    json_t *body = json_loads(request, 0, NULL);
    CHECK(body != NULL);
    open_prompt(&prompt, &t, variables);
    const struct chat_prompt_request asked = {
        .messages = json_object_get(body, "messages"),
        .tools = json_object_get(body, "tools"),
        .documents = json_object_get(body, "documents"),
        .variables = json_object_get(body, "variables"),
        .add_generation_prompt = !json_is_true(json_object_get(body, "continues")),
        .continue_final_message = json_object_get(body, "continues") != NULL,
        .add_special_tokens = json_is_true(json_object_get(body, "special"))};
    const bool good = chat_prompt_make(&prompt, demo_intake(), &asked, out, err);
    json_decref(body);
    json_decref(prompt.variables);
    chat_template_close(t);
    return good;
}

static void check_prompt(const char *variables, const char *request, const char *want)
{
    struct ids ids = {0};
    struct bytes text = {0};
    struct error err = {0};
    if (!make(&ids, variables, request, &err))
        test_fail(__FILE__, __LINE__, "refused: %s", err.text);
    detokenizer_decode(demo_intake()->tokenizer, ids.data, ids.n, false, &text);
    CHECK_STR(text.data, want);
    ids_release(&ids);
    bytes_release(&text);
}

static void check_refused(const char *request, const char *param)
{
    struct ids ids = {0};
    struct error err = {0};
    CHECK(!make(&ids, NULL, request, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    CHECK_STR(err.param, param);
    ids_release(&ids);
}

#define HI "\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}]"

TEST(messages_become_the_tokens_of_a_prompt)
{
    check_prompt(NULL, "{" HI "}", "user says hi.   go");
}

TEST(special_tokens_of_the_tokenizer_are_added_where_they_are_asked_for)
{
    check_prompt(NULL, "{" HI ", \"special\": true}", "<|begin_of_text|>user says hi.   go");
}

TEST(variables_of_a_request_win_over_those_of_the_options)
{
    const char *options = "{\"mood\": \"glad\", \"place\": \"here\"}";
    check_prompt(options, "{" HI "}", "user says hi. glad here go");
    check_prompt(options, "{" HI ", \"variables\": {\"place\": \"there\"}}",
                 "user says hi. glad there go");
    check_prompt(NULL, "{" HI ", \"variables\": {\"place\": \"there\"}}",
                 "user says hi.  there go");
    check_prompt(options, "{" HI ", \"variables\": null}", "user says hi. glad here go");
}

TEST(a_template_sees_tools_and_documents_where_there_are_some)
{
    check_prompt(NULL, "{" HI ", \"tools\": [{}, {}], \"documents\": [{}]}",
                 "user says hi. tools 2. documents 1.   go");
    check_prompt(NULL, "{" HI ", \"tools\": [], \"documents\": null}", "user says hi.   go");
}

TEST(what_is_wrong_is_named)
{
    check_refused("{}", "messages");
    check_refused("{\"messages\": []}", "messages");
    check_refused("{\"messages\": \"hi\"}", "messages");
    check_refused("{\"messages\": [{\"content\": \"nobody\"}]}", "messages");
    check_refused("{" HI ", \"tools\": {\"no\": \"list\"}}", "tools");
    check_refused("{" HI ", \"tools\": [1]}", "tools");
    check_refused("{" HI ", \"documents\": 5}", "documents");
    check_refused("{" HI ", \"variables\": [1]}", "chat_template_kwargs");
    check_refused("{" HI ", \"variables\": {\"messages\": []}}", "chat_template_kwargs");
    check_refused("{" HI ", \"continues\": false}", "continue_final_message");
}

#include "base/error.h"
#include "base/system.h"
#include "base/utf8.h"
#include "runtime/text/chat_template.h"
#include "tests/files.h"
#include "tests/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Shows what a template sees, and what of it users wrote. */
#define SHOW "{{ bos_token }}{% for m in messages %}<{{ m.role }}:{{ m.content }}>{% endfor %}"

static void write(const struct folder *folder, const char *name, const char *text)
{
    folder_write(folder, name, text, strlen(text));
}

static struct folder model_of(const char *template)
{
    const struct folder folder = folder_make();
    write(&folder, "chat_template.jinja", template);
    return folder;
}

static void opens(struct chat_template **t, const char *folder, const char *file)
{
    struct error err = {0};
    if (!chat_template_open(t, folder, file, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
}

static void open_refuses(const struct folder *folder, const char *because)
{
    struct chat_template *t = NULL;
    struct error err = {0};
    CHECK(!chat_template_open(&t, folder->path, NULL, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    if (strstr(err.text, because) == NULL)
        test_fail(__FILE__, __LINE__, "'%s', want '%s'", err.text, because);
}

/* `given` is {"messages", "tools", "documents", "variables"}; "generate" and "go_on" are flags.
 * Returns the text, with what users wrote in square brackets; free() it. NULL: *err says why. */
static char *render(const struct chat_template *t, const char *given, struct error *err)
{
    json_t *json = json_loads(given, 0, NULL);
    CHECK(json != NULL);
    const struct chat_request request = {
        .messages = json_object_get(json, "messages"),
        .tools = json_object_get(json, "tools"),
        .documents = json_object_get(json, "documents"),
        .variables = json_object_get(json, "variables"),
        .add_generation_prompt = json_is_true(json_object_get(json, "generate")),
        .continue_final_message = json_is_true(json_object_get(json, "go_on")),
    };
    struct jinja_output out;
    const bool good = chat_template_render(t, &request, &out, err);
    char *text = good ? calloc(1, out.text.len + 2 * out.n_users + 1) : NULL;
    size_t n = 0, range = 0;
    for (size_t i = 0; good && i <= out.text.len; i++) {
        if (range < out.n_users && out.users[range].end == i) {
            text[n++] = ']';
            range++;
        }
        if (range < out.n_users && out.users[range].begin == i)
            text[n++] = '[';
        if (i < out.text.len)
            text[n++] = out.text.data[i];
    }
    jinja_output_release(&out);
    json_decref(json);
    return text;
}

static void renders(const struct chat_template *t, const char *given, const char *want)
{
    struct error err = {0};
    char *text = render(t, given, &err);
    if (text == NULL)
        test_fail(__FILE__, __LINE__, "%s: %s", given, err.text);
    CHECK_STR(text, want);
    free(text);
}

static void refuses(const struct chat_template *t, const char *given, const char *because)
{
    struct error err = {0};
    char *text = render(t, given, &err);
    if (text != NULL || strstr(err.text, because) == NULL)
        test_fail(__FILE__, __LINE__, "%s: got '%s', want '%s'", given, text ? text : err.text,
                  because);
    CHECK_EQ(err.kind, ERROR_INPUT);
}

#define MODEL(template)                              \
    const struct folder folder = model_of(template); \
    struct chat_template *t = NULL;                  \
    opens(&t, folder.path, NULL)
#define END()               \
    chat_template_close(t); \
    folder_remove(&folder)

#define HI "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"

/* ---- sources ----------------------------------------------------------------------------------*/

TEST(sources_are_taken_in_their_order)
{
    const struct folder folder = folder_make();
    struct chat_template *t = NULL;
    static const char *const names[] = {"chat_template.json", "tokenizer_config.json",
                                        "chat_template.jinja"};
    opens(&t, folder.path, NULL);
    CHECK(!chat_template_exists(t));
    refuses(t, HI, "no chat template");
    chat_template_close(t);
    for (int i = 0; i < 3; i++) {
        char text[64], want[16];
        snprintf(text, sizeof text, i < 2 ? "{\"chat_template\": \"T%d\"}" : "T%d", i);
        snprintf(want, sizeof want, "T%d", i);
        write(&folder, names[i], text);
        opens(&t, folder.path, NULL);
        CHECK(chat_template_exists(t));
        renders(t, HI, want);
        chat_template_close(t);
    }
    const struct file_path own = folder_write(&folder, "own.jinja", "own", 3);
    opens(&t, folder.path, own.text);
    renders(t, HI, "own");
    chat_template_close(t);
    opens(&t, NULL, own.text);
    renders(t, HI, "own");
    chat_template_close(t);
    folder_remove(&folder);
}

TEST(templates_are_chosen_by_name)
{
    const struct folder folder = folder_make();
    struct chat_template *t = NULL;
    write(&folder, "tokenizer_config.json",
          "{\"chat_template\": [{\"name\": \"default\", \"template\": \"D\"}, {\"name\": "
          "\"tool_use\", \"template\": \"T\"}]}");
    opens(&t, folder.path, NULL);
    renders(t, HI, "D");
    renders(t, "{\"messages\":[{}],\"tools\":[]}", "T");
    renders(t, "{\"messages\":[{}],\"tools\":null}", "D");
    chat_template_close(t);

    /* Files count as one source, and the config then does not. */
    const struct file_path more = folder_path(&folder, "additional_chat_templates");
    CHECK(mkdir(more.text, 0700) == 0);
    write(&folder, "additional_chat_templates/rag.jinja", "R");
    write(&folder, "additional_chat_templates/notes.txt", "{% if %}");
    opens(&t, folder.path, NULL);
    refuses(t, HI, "none is the default: rag");
    chat_template_close(t);
    write(&folder, "chat_template.jinja", "J");
    write(&folder, "additional_chat_templates/tool_use.jinja", "U");
    opens(&t, folder.path, NULL);
    renders(t, HI, "J");
    renders(t, "{\"messages\":[{}],\"tools\":[]}", "U");
    chat_template_close(t);
    folder_remove(&folder);
}

TEST(files_that_are_wrong_are_named)
{
    static const struct {
        const char *name, *text, *because;
    } cases[] = {
        {"chat_template.jinja", "{% if %}", "chat_template.jinja: line 1"},
        {"chat_template.jinja", "a\xff", "chat_template.jinja: the chat template is not UTF-8"},
        {"tokenizer_config.json", "{\"chat_template\": \"{% if %}\"}",
         "tokenizer_config.json: line"},
        {"tokenizer_config.json", "{\"chat_template\": 1}", "tokenizer_config.json: chat_template"},
        {"tokenizer_config.json", "{\"chat_template\": [1]}", "item 0 has no template"},
        {"tokenizer_config.json", "{\"chat_template\": [{\"template\": \"\"}]}", "name"},
        {"tokenizer_config.json", "[]", "tokenizer_config.json: line 1"},
        {"tokenizer_config.json", "{\"a\": ", "tokenizer_config.json: line 1"},
        {"tokenizer_config.json", "", "tokenizer_config.json: line 1"},
        {"tokenizer_config.json", "{\"a\": 1", "tokenizer_config.json: line 1"},
        {"tokenizer_config.json", "{\"chat_template\": \"a\"} {", "more behind the object"},
        {"special_tokens_map.json", "{\"bos_token\" 1}", "special_tokens_map.json: line 1"},
        {"chat_template.json", "{\"chat_template\": {}}", "chat_template.json"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct folder folder = folder_make();
        write(&folder, cases[i].name, cases[i].text);
        open_refuses(&folder, cases[i].because);
        folder_remove(&folder);
    }
}

TEST(a_template_that_is_too_long_is_refused)
{
    const struct folder folder = folder_make();
    char *text = calloc(1, JINJA_MAX_SOURCE_BYTES + 2);
    memset(text, 'a', JINJA_MAX_SOURCE_BYTES + 1);
    write(&folder, "chat_template.jinja", text);
    open_refuses(&folder, "chat_template.jinja");
    free(text);
    folder_remove(&folder);
}

/* Real files have numbers of 30 digits and keys that are no concern of ours. */
TEST(only_the_keys_that_are_wanted_are_parsed)
{
    const struct folder folder = folder_make();
    struct chat_template *t = NULL;
    write(
        &folder, "tokenizer_config.json",
        "{\"model_max_length\": 1000000000000000019884624838656, \"x\": [NaN, {\"bos_token\": 1}],"
        " \"chat_template\": \"{{ bos_token }}\", \"bos_token\": \"<s>\"}");
    opens(&t, folder.path, NULL);
    renders(t, HI, "<s>");
    chat_template_close(t);
    folder_remove(&folder);
}

/* ---- special tokens ---------------------------------------------------------------------------*/

static void tokens_are(const char *config, const char *map, const char *want)
{
    static const char show[] = "{{ bos_token }}|{{ eos_token }}|{{ pad_token is defined }}|"
                               "{{ additional_special_tokens | join(',') }}";
    const struct folder folder = model_of(show);
    struct chat_template *t = NULL;
    if (config != NULL)
        write(&folder, "tokenizer_config.json", config);
    if (map != NULL)
        write(&folder, "special_tokens_map.json", map);
    opens(&t, folder.path, NULL);
    renders(t, HI, want);
    chat_template_close(t);
    folder_remove(&folder);
}

TEST(special_tokens_are_texts_or_objects)
{
    tokens_are(NULL, NULL, "||False|");
    tokens_are("{\"bos_token\": \"<s>\", \"eos_token\": {\"content\": \"</s>\", \"lstrip\": false},"
               "\"pad_token\": null, \"additional_special_tokens\": [\"<a>\", {\"content\": "
               "\"<b>\"}]}",
               NULL, "<s>|</s>|False|<a>,<b>");
    tokens_are("{\"bos_token\": \"<s>\"}", "{\"bos_token\": \"<m>\", \"eos_token\": \"<e>\"}",
               "<m>|<e>|False|");
    tokens_are("{\"bos_token\": \"<s>\", \"added_tokens_decoder\": {\"0\": {\"content\": \"x\"}}}",
               "{\"bos_token\": \"<m>\", \"eos_token\": \"<e>\"}", "<s>||False|");
}

/* ---- what the template sees -------------------------------------------------------------------*/

TEST(what_is_absent_is_none_and_not_undefined)
{
    MODEL("{{ tools is none }}{{ documents is none }}{{ add_generation_prompt }}{{ x is defined }}"
          "{{ messages | length }}");
    renders(t, HI, "TrueTrueFalseFalse1");
    renders(t,
            "{\"messages\":[{}],\"tools\":[{}],\"documents\":[{}],\"generate\":true,"
            "\"variables\":{\"x\":1}}",
            "FalseFalseTrueTrue1");
    END();
}

TEST(variables_of_a_request_win_and_are_its_own_text)
{
    MODEL(SHOW "{{ add_generation_prompt }}");
    write(&folder, "tokenizer_config.json", "{\"bos_token\": \"<s>\"}");
    chat_template_close(t);
    opens(&t, folder.path, NULL);
    renders(t, HI, "<s><[user]:[hi]>False");
    renders(t,
            "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"variables\":{\"bos_token\":"
            "\"<t>\",\"add_generation_prompt\":true}}",
            "[<t>]<[user]:[hi]>True");
    refuses(t, "{\"messages\":[{}],\"variables\":{\"messages\":[]}}", "messages cannot be");
    refuses(t, "{\"messages\":[{}],\"variables\":[]}", "no object");
    END();
}

TEST(shapes_are_checked)
{
    MODEL(SHOW);
    refuses(t, "{}", "messages: there is none");
    refuses(t, "{\"messages\":[]}", "messages: there is none");
    refuses(t, "{\"messages\":{}}", "messages is no list");
    refuses(t, "{\"messages\":[[]]}", "messages: item 0 is no object");
    refuses(t, "{\"messages\":[{}],\"tools\":{}}", "tools is no list");
    refuses(t, "{\"messages\":[{}],\"documents\":[{},1]}", "documents: item 1 is no object");
    END();
}

TEST(errors_of_the_template_reach_the_caller)
{
    MODEL("{% if messages[0].role != 'user' %}{{ raise_exception('users first') }}{% endif %}ok");
    renders(t, HI, "ok");
    refuses(t, "{\"messages\":[{\"role\":\"x\"}]}", "users first");
    END();
}

TEST(a_template_that_does_not_end_is_wrong_input)
{
    MODEL("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}");
    refuses(t, HI, "steps");
    END();
}

TEST(the_time_can_be_given)
{
    MODEL("{{ strftime_now('%d %b %Y') }}");
    const struct calendar_time now = {.year = 2024, .month = 7, .day = 26};
    json_t *messages = json_loads("[{}]", 0, NULL);
    const struct chat_request request = {.messages = messages, .now = &now};
    struct jinja_output out;
    struct error err = {0};
    CHECK(chat_template_render(t, &request, &out, &err));
    CHECK_STR(out.text.data, "26 Jul 2024");
    jinja_output_release(&out);
    json_decref(messages);
    END();
}

TEST(the_form_of_contents_that_a_template_takes_is_found_out)
{
#define LOOP       "{% for p in m.content %}{{ p.text }}{% endfor %}"
#define EACH(what) "{% for m in messages %}" what "{% endfor %}"
    static const struct {
        const char *template;
        enum content_format format;
    } cases[] = {
        {SHOW, CONTENT_AS_TEXT},
        {EACH("{{ m.content + '!' }}"), CONTENT_AS_TEXT},
        {EACH("{{ m | tojson }}"), CONTENT_AS_TEXT},
        {EACH("{{ m.content | tojson }}"), CONTENT_AS_TEXT},
        {"nothing", CONTENT_AS_TEXT},
        {EACH(LOOP), CONTENT_AS_PARTS},
        {EACH("{% if m.content is string %}{{ m.content }}{% else %}" LOOP "{% endif %}"),
         CONTENT_AS_EITHER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        MODEL(cases[i].template);
        if (chat_template_format(t, false, NULL) != cases[i].format)
            test_fail(__FILE__, __LINE__, "%s", cases[i].template);
        CHECK_EQ(chat_template_format(t, false, "auto"), cases[i].format);
        CHECK_EQ(chat_template_format(t, false, "string"), CONTENT_AS_TEXT);
        CHECK_EQ(chat_template_format(t, false, "openai"), CONTENT_AS_PARTS);
        END();
    }
}

/* ---- a last message that goes on --------------------------------------------------------------*/

#define GO_ON(content)                                                              \
    "{\"messages\":[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\"," \
    "\"content\":" content "}],\"go_on\":true}"

TEST(the_prompt_ends_inside_the_last_message)
{
    MODEL(SHOW "<end>");
    renders(t, GO_ON("\"Sure\""), "<[user]:[q]><[assistant]:[Sure]");
    renders(t, GO_ON("\" Sure, \""), "<[user]:[q]><[assistant]:[ Sure, ]");
    renders(t, GO_ON("\"\""), "<[user]:[q]><[assistant]:");
    refuses(t, "{\"messages\":[{\"content\":\"a\"}],\"go_on\":true,\"generate\":true}",
            "exclude each other");
    refuses(t, GO_ON("null"), "no text to continue");
    refuses(t, GO_ON("[]"), "no text to continue");
    refuses(t, "{\"messages\":[{\"role\":\"user\"}],\"go_on\":true}", "no text to continue");
    END();
}

TEST(where_the_template_strips_so_does_the_prompt)
{
    MODEL("{% for m in messages %}<{{ m.content | trim }}> {% endfor %}");
    renders(t, GO_ON("\" Sure,  \""), "<[q]> <[Sure,]");
    renders(t, GO_ON("\"Sure\\u00a0\\u3000\""), "<[q]> <[Sure]");
    END();
}

TEST(of_parts_the_last_text_goes_on)
{
    MODEL("{% for m in messages %}<{% for p in m.content %}{{ p.text }}|{% endfor %}>{% endfor %}");
    renders(
        t,
        "{\"messages\":[{\"content\":[{\"text\":\"a\"},{\"text\":\"b\"},{\"type\":\"image\"}]}],"
        "\"go_on\":true}",
        "<[a]|[b]");
    END();
}

TEST(a_template_that_changes_the_last_message_is_found_out)
{
    MODEL("{% for m in messages %}<{{ m.content | replace('Z', 'b') }}>{% endfor %}");
    renders(t, "{\"messages\":[{\"content\":\"xyz\"}],\"go_on\":true}", "<[xyz]");
    refuses(t, "{\"messages\":[{\"content\":\"xZz\"}],\"go_on\":true}", "changes the last message");
    END();
}

TEST(a_template_that_leaves_the_last_message_out_is_found_out)
{
    MODEL("{{ messages[0].content }}");
    refuses(t, GO_ON("\"q\""), "changes the last message");
    END();
}

TEST(a_template_that_writes_nothing_is_found_out)
{
    MODEL("");
    refuses(t, GO_ON("\"q\""), "changes the last message");
    END();
}

TEST(a_flag_among_the_variables_is_the_flag)
{
    MODEL(SHOW "<end>{{ continue_final_message is defined }}");
    renders(t,
            "{\"messages\":[{\"role\":\"a\",\"content\":\"b\"}],\"variables\":"
            "{\"continue_final_message\":true}}",
            "<[a]:[b]");
    renders(t,
            "{\"messages\":[{\"role\":\"a\",\"content\":\"b\"}],\"variables\":"
            "{\"continue_final_message\":false}}",
            "<[a]:[b]><end>False");
    END();
}

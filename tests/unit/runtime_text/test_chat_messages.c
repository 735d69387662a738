#include "base/error.h"
#include "base/memory.h"
#include "runtime/text/chat_messages.h"
#include "tests/test.h"

#include <stdlib.h>
#include <string.h>

static json_t *parse(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    if (json == NULL)
        test_fail(__FILE__, __LINE__, "no JSON: %s", text);
    return json;
}

static void reads(const char *messages, enum content_format format, const char *want)
{
    struct error err = {0};
    json_t *in = parse(messages), *out = NULL;
    if (!chat_messages_read(&out, in, format, &err))
        test_fail(__FILE__, __LINE__, "%s: %s", messages, err.text);
    char *got = json_dumps(out, JSON_COMPACT);
    CHECK_STR(got, want);
    char *unchanged = json_dumps(in, JSON_COMPACT);
    json_t *again = parse(messages);
    char *before = json_dumps(again, JSON_COMPACT);
    CHECK_STR(unchanged, before);
    free(got);
    free(unchanged);
    free(before);
    json_decref(again);
    json_decref(in);
    json_decref(out);
}

static void refuses(const char *messages, const char *because)
{
    struct error err = {0};
    json_t *in = parse(messages), *out = NULL;
    CHECK(!chat_messages_read(&out, in, CONTENT_AS_TEXT, &err));
    CHECK_EQ(err.kind, ERROR_INPUT);
    if (strstr(err.text, because) == NULL)
        test_fail(__FILE__, __LINE__, "'%s', want '%s'", err.text, because);
    json_decref(in);
}

TEST(a_content_is_one_text_or_a_list_of_parts)
{
    static const char text[] = "[{\"role\":\"user\",\"content\":\"a\"}]";
    static const char parts[] = "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
                                "\"a\"},\"b\",{\"type\":\"input_text\",\"text\":\"c\"},"
                                "{\"type\":\"refusal\",\"refusal\":\"d\"},"
                                "{\"type\":\"text\",\"text\":null}]}]";
    reads(text, CONTENT_AS_TEXT, text);
    reads(text, CONTENT_AS_PARTS,
          "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]}]");
    reads(text, CONTENT_AS_EITHER, text);
    reads("[{\"role\":\"user\",\"content\":[\"a\"]},{\"role\":\"x\",\"content\":null}]",
          CONTENT_AS_EITHER,
          "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"}]},"
          "{\"role\":\"x\",\"content\":\"\"}]");
    reads(parts, CONTENT_AS_TEXT, "[{\"role\":\"user\",\"content\":\"a\\nb\\nc\\nd\"}]");
    reads(
        parts, CONTENT_AS_PARTS,
        "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\","
        "\"text\":\"b\"},{\"type\":\"text\",\"text\":\"c\"},{\"type\":\"text\",\"text\":\"d\"}]}]");
}

TEST(no_content_is_an_empty_one)
{
    reads("[{\"content\":null,\"role\":\"assistant\"},{\"role\":\"user\"}]", CONTENT_AS_TEXT,
          "[{\"content\":\"\",\"role\":\"assistant\"},{\"role\":\"user\",\"content\":\"\"}]");
    reads("[{\"role\":\"user\",\"content\":null}]", CONTENT_AS_PARTS,
          "[{\"role\":\"user\",\"content\":[]}]");
}

TEST(arguments_of_tools_become_values_in_their_order)
{
    reads("[{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"1\",\"type\":"
          "\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"z\\\": 1, \\\"a\\\": "
          "[2]}\"}}]}]",
          CONTENT_AS_TEXT,
          "[{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"1\",\"type\":"
          "\"function\",\"function\":{\"name\":\"f\",\"arguments\":{\"z\":1,\"a\":[2]}}}]}]");
}

static void argument_becomes(const char *given, const char *want)
{
    char in[256], out[256];
    snprintf(in, sizeof in,
             "[{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"function\":{%s}}]}]",
             given);
    snprintf(out, sizeof out,
             "[{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"function\":{"
             "\"arguments\":%s}}]}]",
             want);
    reads(in, CONTENT_AS_TEXT, out);
}

TEST(arguments_of_every_kind)
{
    argument_becomes("", "{}");
    argument_becomes("\"arguments\":null", "{}");
    argument_becomes("\"arguments\":\"\"", "{}");
    argument_becomes("\"arguments\":{\"a\":1}", "{\"a\":1}");
    argument_becomes("\"arguments\":\"[1]\"", "[1]");
    argument_becomes("\"arguments\":\"{oops\"", "\"{oops\"");
    argument_becomes("\"arguments\":\"123456789012345678901234567890\"",
                     "\"123456789012345678901234567890\"");
}

TEST(what_templates_need_not_see_is_left_out_and_the_rest_stays)
{
    reads("[{\"role\":\"assistant\",\"refusal\":null,\"content\":\"a\",\"tool_calls\":[],"
          "\"name\":\"n\",\"extra\":{\"b\":1}}]",
          CONTENT_AS_TEXT,
          "[{\"role\":\"assistant\",\"content\":\"a\",\"name\":\"n\",\"extra\":{\"b\":1}}]");
    reads("[{\"role\":\"tool\",\"tool_call_id\":\"7\",\"content\":\"a\"}]", CONTENT_AS_TEXT,
          "[{\"role\":\"tool\",\"tool_call_id\":\"7\",\"content\":\"a\"}]");
    reads("[{\"role\":\"assistant\",\"content\":\"a\",\"reasoning\":\"r\"}]", CONTENT_AS_TEXT,
          "[{\"role\":\"assistant\",\"content\":\"a\",\"reasoning\":\"r\","
          "\"reasoning_content\":\"r\"}]");
    reads("[{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_content\":\"r\"}]",
          CONTENT_AS_TEXT,
          "[{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_content\":\"r\","
          "\"reasoning\":\"r\"}]");
}

TEST(mistakes_name_the_message)
{
    refuses("{}", "messages is no list");
    refuses("[1]", "message 0: no object");
    refuses("[{\"role\":\"user\"},{\"content\":\"a\"}]", "message 1: no role");
    refuses("[{\"role\":1}]", "message 0: no role");
    refuses("[{\"role\":\"user\",\"content\":1}]", "neither a text nor a list");
    refuses("[{\"role\":\"user\",\"content\":[{\"text\":\"a\"}]}]", "part 0 has no type");
    refuses("[{\"role\":\"user\",\"content\":[1]}]", "part 0 has no type");
    refuses("[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":1}]}]", "no text");
    refuses("[{\"role\":\"user\",\"content\":[\"a\",{\"type\":\"image_url\",\"image_url\":"
            "{\"url\":\"x\"}}]}]",
            "part 1 is of type image_url, only text is read");
    refuses("[{\"role\":\"assistant\",\"tool_calls\":{}}]", "tool_calls is no list");
    refuses("[{\"role\":\"assistant\",\"tool_calls\":[{\"id\":\"1\"}]}]", "item 0 has no function");
}

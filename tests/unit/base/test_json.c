/* What is taken, and the members of an object. What is refused: test_json_hostile.c. */
#include "base/error.h"
#include "base/json.h"
#include "tests/files.h"
#include "tests/test.h"

#include <math.h>
#include <string.h>

static const struct json_limits limits = {.max_bytes = 1 << 20, .max_depth = 8, .max_values = 1000};

static json_t *parsed(const char *text)
{
    struct error err = {0};
    json_t *value = NULL;
    if (!json_parse(&value, text, strlen(text), &limits, &err))
        test_fail(__FILE__, __LINE__, "%s: %s", text, err.text);
    return value;
}

TEST(json_takes_any_value_at_the_top)
{
    static const char *const texts[] = {
        "0",
        "-0",
        "\"\"",
        "null",
        "true",
        "false",
        "[]",
        "{}",
        " 1 ",
        "1e5",
        "1E+5",
        "1.5e-5",
        "-0.0",
        "\t\n\r [ ] ",
        "[1,[2,{}]]",
        "{\"\":{\"a\":[]}}",
        "[0,\"a\\n\\u00e9\\ud83d\\ude00\\/\"]",
        "\"\x7f\xc3\xa9\xf0\x9f\x98\x80\xef\xbf\xbf\"",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        json_decref(parsed(texts[i]));
}

TEST(json_reads_up_to_the_length_and_not_to_a_nul)
{
    struct error err = {0};
    json_t *value;
    CHECK(json_parse(&value, "[12]garbage", 4, &limits, &err));
    CHECK_EQ(json_integer_value(json_array_get(value, 0)), 12);
    json_decref(value);
    CHECK(json_parse(&value, "123", 2, &limits, &err));
    CHECK_EQ(json_integer_value(value), 12);
    json_decref(value);
}

TEST(json_keeps_the_ends_of_the_number_range)
{
    json_t *value = parsed("[9223372036854775807, -9223372036854775808, 1.7976931348623157e308, "
                           "4.9e-324, 1e-400]");
    CHECK_EQ(json_integer_value(json_array_get(value, 0)), INT64_MAX);
    CHECK_EQ(json_integer_value(json_array_get(value, 1)), INT64_MIN);
    CHECK(json_real_value(json_array_get(value, 2)) == 0x1.fffffffffffffp1023);
    CHECK(json_real_value(json_array_get(value, 3)) == 0x1p-1074);
    CHECK(json_real_value(json_array_get(value, 4)) == 0); /* too small is no error */
    json_decref(value);
}

TEST(json_members_are_read_by_kind)
{
    json_t *o = parsed("{\"n\": 7, \"x\": 0.5, \"yes\": true, \"no\": false, \"s\": \"t\"}");
    struct error err = {0};
    int64_t n = 0;
    double x = 0, whole = 0;
    bool yes = false, no = true;
    const char *text = NULL;
    CHECK(json_get_int(o, "n", true, 7, 7, &n, &err));
    CHECK(json_get_number(o, "x", true, 0.5, 0.5, &x, &err));
    CHECK(json_get_number(o, "n", true, 0, 10, &whole, &err)); /* a whole number is a number */
    CHECK(json_get_bool(o, "yes", true, &yes, &err));
    CHECK(json_get_bool(o, "no", true, &no, &err));
    CHECK(json_get_text(o, "s", true, &text, &err));
    CHECK(n == 7 && x == 0.5 && whole == 7 && yes && !no);
    CHECK_STR(text, "t");
    json_decref(o);
}

TEST(json_member_that_is_absent_or_null_keeps_the_default)
{
    json_t *o = parsed("{\"null\": null}");
    static const char *const keys[] = {"absent", "null"};
    for (int i = 0; i < 2; i++) {
        struct error err = {0};
        int64_t n = 3;
        double x = 0.25;
        bool yes = true;
        const char *text = "default";
        CHECK(json_get_int(o, keys[i], false, 0, 1, &n, &err));
        CHECK(json_get_number(o, keys[i], false, 0, 0, &x, &err));
        CHECK(json_get_bool(o, keys[i], false, &yes, &err));
        CHECK(json_get_text(o, keys[i], false, &text, &err));
        CHECK(n == 3 && x == 0.25 && yes);
        CHECK_STR(text, "default");
    }
    json_decref(o);
}

static const char *int_error(const char *object)
{
    static struct error err;
    err = (struct error){0};
    json_t *o = parsed(object);
    int64_t n = 42;
    CHECK(!json_get_int(o, "n", true, 1, 5, &n, &err));
    CHECK_EQ(n, 42);
    CHECK_EQ(err.kind, ERROR_INPUT);
    json_decref(o);
    return err.text;
}

TEST(json_member_that_is_wrong_is_named_with_what_stands_there)
{
    CHECK_STR(int_error("{}"), "\"n\" is missing, want a whole number from 1 to 5");
    CHECK_STR(int_error("{\"n\": null}"), "\"n\" is null, want a whole number from 1 to 5");
    CHECK_STR(int_error("{\"n\": 0}"), "\"n\" is 0, want a whole number from 1 to 5");
    CHECK_STR(int_error("{\"n\": 6}"), "\"n\" is 6, want a whole number from 1 to 5");
    CHECK_STR(int_error("{\"n\": 1.5}"), "\"n\" is 1.5, want a whole number from 1 to 5");
    CHECK_STR(int_error("{\"n\": \"5\"}"),
              "\"n\" is the text \"5\", want a whole number from 1 to 5");
    CHECK_STR(int_error("{\"n\": true}"), "\"n\" is true, want a whole number from 1 to 5");
    CHECK_STR(int_error("{\"n\": {}}"), "\"n\" is an object, want a whole number from 1 to 5");
    CHECK_STR(int_error("[]"), "an array where an object with \"n\" should be");
}

TEST(json_members_of_the_wrong_kind_are_refused)
{
    json_t *o = parsed("{\"n\": 1, \"x\": 2.5, \"s\": \"1\", \"a\": []}");
    struct error err = {0};
    double x = 0;
    bool yes = false;
    const char *text = NULL;
    CHECK(!json_get_number(o, "x", true, 0, 2, &x, &err));
    CHECK_STR(err.text, "\"x\" is 2.5, want a number from 0 to 2");
    err = (struct error){0};
    CHECK(!json_get_number(o, "s", false, 0, 2, &x, &err));
    err = (struct error){0};
    CHECK(!json_get_bool(o, "n", false, &yes, &err));
    CHECK_STR(err.text, "\"n\" is 1, want true or false");
    err = (struct error){0};
    CHECK(!json_get_text(o, "a", false, &text, &err));
    CHECK_STR(err.text, "\"a\" is an array, want a text");
    CHECK(x == 0 && !yes && text == NULL);
    json_decref(o);
}

TEST(json_lines_are_counted_by_who_reads_them)
{
    struct error err = {0};
    json_t *value;
    CHECK(!json_parse_line(&value, "[1,", 3, &limits, &err));
    CHECK_STR(err.text, "column 4: the text ends where a value should be");
    err = (struct error){0};
    CHECK(json_parse_line(&value, "[1]", 3, &limits, &err));
    CHECK_EQ(json_array_size(value), 1);
    json_decref(value);
}

TEST(json_file_errors_name_the_file)
{
    const struct folder folder = folder_make();
    const struct file_path good = folder_write(&folder, "good.json", "{\"a\": 1}", 8);
    const struct file_path bad = folder_write(&folder, "bad.json", "{\"a\": 1\n}}", 10);
    const struct file_path empty = folder_write(&folder, "empty.json", "", 0);
    struct error err = {0};
    json_t *value;
    CHECK(json_read_file(&value, good.text, &limits, &err));
    json_decref(value);
    CHECK(!json_read_file(&value, bad.text, &limits, &err));
    CHECK(strstr(err.text, bad.text) && strstr(err.text, "line 2, column 2: '}'"));
    err = (struct error){0};
    CHECK(!json_read_file(&value, empty.text, &limits, &err));
    CHECK(strstr(err.text, empty.text) && strstr(err.text, "the text ends"));
    const struct json_limits small = {.max_bytes = 7, .max_depth = 8, .max_values = 10};
    err = (struct error){0};
    CHECK(!json_read_file(&value, good.text, &small, &err));
    CHECK(strstr(err.text, good.text) && strstr(err.text, "7 bytes"));
    folder_remove(&folder);
}

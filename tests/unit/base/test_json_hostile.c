/* JSON from people who mean harm, or whose writer was cut off. */
#include "base/error.h"
#include "base/json.h"
#include "base/json_scan.h"
#include "base/memory.h"
#include "tests/test.h"

#include <stdint.h>
#include <string.h>

static const struct json_limits limits = {
    .max_bytes = 64 << 20, .max_depth = 64, .max_values = 100000};

/* Parses a copy that ends where the text ends, so that a sanitizer sees one byte too far. */
static bool parse_exact(const char *text, size_t n_bytes, const struct json_limits *within,
                        struct error *err)
{
    char *copy = memory_resize(NULL, n_bytes, 1);
    memcpy(copy, text, n_bytes);
    json_t *value = NULL;
    *err = (struct error){0};
    const bool ok = json_parse(&value, copy, n_bytes, within, err);
    memory_free(copy);
    json_decref(value);
    return ok;
}

static void check_refused(const char *text, size_t n_bytes, const char *reason)
{
    struct error err;
    if (parse_exact(text, n_bytes, &limits, &err))
        test_fail(__FILE__, __LINE__, "taken, but should say \"%s\": %.60s", reason, text);
    CHECK_EQ(err.kind, ERROR_INPUT);
    if (strstr(err.text, reason) == NULL)
        test_fail(__FILE__, __LINE__, "%.60s\n    said %s\n    want %s", text, err.text, reason);
}

struct refusal {
    const char *text, *reason;
};

static void check_all_refused(const struct refusal *cases, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_refused(cases[i].text, strlen(cases[i].text), cases[i].reason);
}
#define CHECK_ALL_REFUSED(cases) check_all_refused(cases, sizeof(cases) / sizeof *(cases))

TEST(json_numbers_out_of_range_are_refused_with_their_place)
{
    static const struct refusal cases[] = {
        {"9223372036854775808", "line 1, column 1: 9223372036854775808 is beyond the range of 64"},
        {"-9223372036854775809", "beyond the range of 64-bit whole numbers"},
        {"[1,\n 18446744073709551616]", "line 2, column 2: 1844"},
        {"99999999999999999999999999", "beyond the range of 64"},
        {"1e400", "1e400 is beyond the range of a double"},
        {"-1e400", "beyond the range of a double"},
        {"1.7976931348623159e308", "beyond the range of a double"},
        {"1e99999999999999999999", "beyond the range of a double"},
    };
    CHECK_ALL_REFUSED(cases);
    char digits[4000];
    memset(digits, '1', sizeof digits);
    check_refused(digits, sizeof digits, "a number of 4000 characters");
    digits[1] = '.';
    check_refused(digits, sizeof digits, "a number of 4000 characters");
}

TEST(json_numbers_that_only_other_languages_know_are_refused)
{
    static const struct refusal cases[] = {
        {"NaN", "'N' where a value should be"},
        {"nan", "'n' where a value"},
        {"Infinity", "'I' where a value"},
        {"-Infinity", "'I' where a digit should be"},
        {"01", "the end of the text"},
        {"-01", "the end of the text"},
        {"+1", "'+' where a value"},
        {".5", "'.' where a value"},
        {"5.", "ends where a digit"},
        {"1e", "ends where a digit"},
        {"1e+", "ends where a digit"},
        {"-", "ends where a digit"},
        {"0x10", "'x' where the end"},
        {"1_000", "'_' where the end"},
        {"1.5.5", "'.' where the end"},
    };
    CHECK_ALL_REFUSED(cases);
}

TEST(json_texts_that_are_no_unicode_are_refused)
{
    static const struct refusal cases[] = {
        {"\"\\ud800\"", "\\ud800 is half of a surrogate pair"},
        {"\"\\udc00\"", "half of a surrogate pair"},
        {"\"\\ud800\\ud800\"", "half of a surrogate pair"},
        {"\"\\ud800x\"", "half of a surrogate pair"},
        {"\"\\ud83d\\u0041\"", "half of a surrogate pair"},
        {"\"\\ud83d\\ude0", "half of a surrogate pair"},
        {"\"\\u0000\"", "no NUL"},
        {"{\"\\u0000\": 1}", "no NUL"},
        {"\"\\u12g4\"", "four hexadecimal digits"},
        {"\"\\u12", "four hexadecimal digits"},
        {"\"\\x41\"", "no escape that JSON knows"},
        {"\"\\", "no escape that JSON knows"},
        {"\"\x80\"", "byte 0x80 is not UTF-8"},
        {"\"\xc0\xaf\"", "0xc0 is not UTF-8"},         /* overlong slash */
        {"\"\xe0\x80\xaf\"", "0xe0 is not UTF-8"},     /* overlong in three */
        {"\"\xf0\x80\x80\xaf\"", "0xf0 is not UTF-8"}, /* overlong in four */
        {"\"\xed\xa0\x80\"", "0xed is not UTF-8"},     /* a surrogate */
        {"\"\xf4\x90\x80\x80\"", "0xf4 is not UTF-8"}, /* above U+10FFFF */
        {"\"\xf5\x80\x80\x80\"", "0xf5 is not UTF-8"},
        {"\"\xc3\"", "0xc3 is not UTF-8"},   /* cut short by the quote */
        {"\"\xe2\x82", "0xe2 is not UTF-8"}, /* and by the end */
        {"{\"\xff\": 1}", "0xff is not UTF-8"},
        {"\"a\nb\"", "control character 0x0a in a text: write it as \\u000a"},
        {"\"a\tb\"", "control character 0x09"},
        {"\xef\xbb\xbf{}", "byte 0xef where a value"}, /* a byte order mark */
    };
    CHECK_ALL_REFUSED(cases);
    check_refused("\"a\0b\"", 5, "control character 0x00");
    check_refused("[1]\0", 4, "byte 0x00 where the end of the text");
    check_refused("\0", 1, "byte 0x00 where a value");
    check_refused("\"\\\0\"", 4, "no escape that JSON knows");
}

TEST(json_grammar_is_not_stretched)
{
    static const struct refusal cases[] = {
        {"", "line 1, column 1: the text ends where a value should be"},
        {"   \n ", "line 2, column 2: the text ends"},
        {"[1,]", "']' where a value"},
        {"[,1]", "',' where a value"},
        {"[1 2]", "'2' where ',' or ']'"},
        {"[1}", "'}' where ',' or ']'"},
        {"{\"a\":1,}", "'}' where a key in quotes"},
        {"{a:1}", "'a' where a key in quotes"},
        {"{'a':1}", "''' where a key in quotes"},
        {"{1:1}", "'1' where a key in quotes"},
        {"{\"a\" 1}", "'1' where ':'"},
        {"{\"a\":}", "'}' where a value"},
        {"{\"a\"}", "'}' where ':'"},
        {"{} {}", "'{' where the end of the text"},
        {"[] // why", "'/' where the end"},
        {"tru", "'t' where a value"},
        {"True", "'T' where a value"},
        {"nullx", "'x' where the end"},
        {"]", "']' where a value"},
    };
    CHECK_ALL_REFUSED(cases);
}

TEST(json_keys_that_come_twice_are_refused)
{
    static const struct refusal cases[] = {
        {"{\"a\": 1, \"a\": 1}", "duplicate"},
        {"{\"a\": 1, \"\\u0061\": 2}", "duplicate"}, /* the same key in other letters */
        {"[{\"b\": {\"x\": 1, \"y\": 2, \"x\": 3}}]", "duplicate"},
    };
    CHECK_ALL_REFUSED(cases);
}

TEST(json_cut_off_anywhere_is_refused)
{
    static const char text[] =
        "{\"a\": [1, -2.5e3, true, null, \"x\\u00e9\\ud83d\\ude00\\n \xc3\xa9\"], \"b\": {}}";
    struct error err;
    CHECK(parse_exact(text, sizeof text - 1, &limits, &err));
    for (size_t n = 0; n < sizeof text - 1; n++)
        CHECK(!parse_exact(text, n, &limits, &err));
}

TEST(json_depth_is_limited_at_any_length)
{
    struct error err;
    const size_t n = 10 << 20;
    char *deep = memory_alloc(2 * n, 1);
    memset(deep, '[', n);
    memset(deep + n, ']', n);
    CHECK(parse_exact(deep + n - 64, 128, &limits, &err));
    CHECK(!parse_exact(deep + n - 65, 130, &limits, &err));
    CHECK_STR(err.text, "line 1, column 65: nested deeper than 64");
    const int64_t before = test_cpu_ns();
    json_t *value;
    err = (struct error){0};
    CHECK(!json_parse(&value, deep, 2 * n, &limits, &err)); /* stops at the 65th bracket */
    CHECK(test_cpu_ns() - before < 50 * 1000 * 1000);
    memory_free(deep);

    const struct json_limits flat = {.max_bytes = 100, .max_depth = 0, .max_values = 5};
    CHECK(parse_exact("1", 1, &flat, &err));
    CHECK(!parse_exact("[]", 2, &flat, &err));
}

TEST(json_as_deep_as_a_limit_may_be_is_parsed)
{
    const struct json_limits deepest = {
        .max_bytes = 1 << 20, .max_depth = JSON_MAX_DEPTH, .max_values = 100000};
    struct error err;
    static char text[2 * JSON_MAX_DEPTH];
    memset(text, '[', JSON_MAX_DEPTH);
    memset(text + JSON_MAX_DEPTH, ']', JSON_MAX_DEPTH);
    CHECK(parse_exact(text, sizeof text, &deepest, &err)); /* jansson's own limit is larger */
}

TEST(json_values_and_keys_are_counted_together)
{
    const struct json_limits five = {.max_bytes = 100, .max_depth = 8, .max_values = 5};
    struct error err;
    CHECK(parse_exact("{\"a\":[1,2]}", 11, &five, &err)); /* object, key, array, 1, 2 */
    CHECK(!parse_exact("{\"a\":[1,2,3]}", 13, &five, &err));
    CHECK_STR(err.text, "line 1, column 11: more than 5 values and keys");
    CHECK(!parse_exact("{\"a\":1,\"b\":2,\"c\":3}", 19, &five, &err));
}

TEST(json_bytes_are_limited_before_any_is_read)
{
    const struct json_limits tiny = {.max_bytes = 4, .max_depth = 8, .max_values = 10};
    struct error err = {0};
    json_t *value;
    CHECK(parse_exact("1234", 4, &tiny, &err));
    CHECK(!json_parse(&value, "12345", SIZE_MAX, &tiny, &err)); /* would crash if it read */
    CHECK(strstr(err.text, "the most is 4"));
}

/* A key a million times, all different: refused by number before the tree is built. */
TEST(json_of_a_million_keys_is_refused_at_the_limit)
{
    const size_t n_keys = 1000000, each = strlen("\"0000000\":0,");
    char *text = memory_alloc(n_keys * each + 2, 1);
    text[0] = '{';
    for (size_t i = 0; i < n_keys; i++) {
        char *at = text + 1 + i * each;
        memcpy(at, "\"0000000\":0,", each);
        size_t rest = i;
        for (int d = 7; d >= 1; d--, rest /= 10)
            at[d] = (char)('0' + rest % 10);
    }
    text[n_keys * each] = '}';
    check_refused(text, n_keys * each + 1, "more than 100000 values");
    memory_free(text);
}

static uint64_t next_random(uint64_t *state) /* xorshift64, Marsaglia 2003 */
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* The scan must be no laxer than the library: what it lets through parses, twice-keys apart. */
TEST(json_that_passes_the_scan_parses)
{
    static const char seed[] = "{\"a\": [1, -2.5e3, true, null, \"x\\u00e9\\ud83d\\ude00\\n\"], "
                               "\"b\": {\"c\": 1e-7, \"d\": [[], {}, \"\xc3\xa9\"]}}";
    static const char bytes[] = "{}[],:\"\\ue0d8-+.1eE \n\x01\x80\xc3\xa9\xf0tfn";
    uint64_t state = 88172645463325252u;
    int n_good = 0;
    for (int round = 0; round < 30000; round++) {
        char text[sizeof seed];
        memcpy(text, seed, sizeof seed);
        for (uint64_t n = next_random(&state) % 3; n-- > 0;)
            text[next_random(&state) % (sizeof seed - 1)] =
                bytes[next_random(&state) % (sizeof bytes - 1)];
        struct error err;
        if (parse_exact(text, sizeof seed - 1, &limits, &err)) {
            n_good++;
            continue;
        }
        struct error scan_err = {0};
        if (json_scan(text, sizeof seed - 1, &limits, &scan_err) && !strstr(err.text, "duplicate"))
            test_fail(__FILE__, __LINE__, "scanned but not parsed: %s\n%s", text, err.text);
    }
    CHECK(n_good > 1000); /* the mutations are mild enough to reach the parser */
}

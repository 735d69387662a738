/* Trees and what bounds them: places, heights, sizes. */
#include "runtime/jinja/syntax/ast.h"

#include "base/bytes.h"
#include "base/error.h"
#include "runtime/jinja/jinja.h"
#include "tests/test.h"

#include <string.h>

static void parse(struct ast *ast, const char *source)
{
    struct error err = {0};
    if (!ast_parse(ast, source, strlen(source), &err))
        test_fail(__FILE__, __LINE__, "%s\n  fails: %s", source, err.text);
}

/* ERROR_NONE: it is fine. */
static enum error_kind fails(const char *source, size_t n_bytes, struct error *err)
{
    struct ast ast;
    *err = (struct error){0};
    const bool good = ast_parse(&ast, source, n_bytes, err);
    ast_release(&ast);
    return good ? ERROR_NONE : err->kind;
}

static void check_fails_at(const char *source, const char *want)
{
    struct error err;
    CHECK_EQ(fails(source, strlen(source), &err), ERROR_INPUT);
    CHECK_STR(err.text, want);
}

static void check_place(const struct node *node, enum node_kind kind, int line, int column)
{
    CHECK_EQ(node->kind, kind);
    CHECK_EQ(node->line, line);
    CHECK_EQ(node->column, column);
}

TEST(nodes_know_where_they_begin)
{
    struct ast ast;
    parse(&ast, "é\n\n{{ a + b.c }}{{ é|upper }}{%\n if f(x)[1] is odd %}{% endif %}");
    CHECK_EQ(ast.body.n, 4);
    const struct node *sum = ast.body.items[1]->parts[0];
    check_place(ast.body.items[0], NODE_TEXT, 1, 1);
    check_place(sum, NODE_BINARY, 3, 4);
    check_place(sum->parts[0], NODE_NAME, 3, 4);
    check_place(sum->parts[1], NODE_ATTRIBUTE, 3, 10);
    check_place(ast.body.items[2]->parts[0], NODE_FILTER, 3, 19);
    check_place(ast.body.items[3], NODE_IF, 4, 2);
    const struct node *test = ast.body.items[3]->parts[0], *item = test->parts[0];
    check_place(test, NODE_TEST, 4, 16);
    check_place(item, NODE_ITEM, 4, 9);
    check_place(item->parts[0], NODE_CALL, 4, 5);
    ast_release(&ast);
}

TEST(names_are_numbered_once)
{
    struct ast ast;
    parse(&ast, "{{ a }}{% set b = a %}{{ loop }}{{ b }}");
    CHECK_EQ(ast.n_names, AST_FIRST_NAME + 2);
    CHECK_EQ(ast.body.items[0]->parts[0]->name, AST_FIRST_NAME);
    CHECK_EQ(ast.body.items[1]->parts[1]->name, AST_FIRST_NAME);
    CHECK_EQ(ast.body.items[2]->parts[0]->name, AST_NAME_LOOP);
    CHECK_EQ(ast.body.items[3]->parts[0]->name, AST_FIRST_NAME + 1);
    ast_release(&ast);
}

TEST(an_elif_is_what_its_predecessor_has_otherwise)
{
    struct ast ast;
    parse(&ast, "{% if a %}1{% elif b %}2{% elif c %}3{% else %}4{% endif %}");
    CHECK_EQ(ast.body.n, 1);
    const struct node *node = ast.body.items[0];
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(node->body.n, 1);
        CHECK_EQ(node->otherwise.n, 1);
        node = node->otherwise.items[0];
        CHECK_EQ(node->kind, NODE_IF);
    }
    CHECK_EQ(node->otherwise.items[0]->kind, NODE_TEXT);
    ast_release(&ast);
}

TEST(an_error_shows_its_line)
{
    check_fails_at("a\n \t {{ b c }} \nd",
                   "line 2, column 9: TemplateSyntaxError: expected token 'end of print "
                   "statement', got 'c': {{ b c }}");
    check_fails_at("{{ 1|nof }}", "line 1, column 6: TemplateAssertionError: No filter named "
                                  "'nof'.: {{ 1|nof }}");
    check_fails_at("\n{% if a %}", "line 2, column 9: TemplateSyntaxError: Unexpected end of "
                                   "template. Jinja was looking for the following tags: 'elif' or "
                                   "'else' or 'endif'. The innermost block that needs to be closed "
                                   "is 'if'.: {% if a %}");
}

TEST(a_long_line_is_cut_around_the_column)
{
    struct bytes source = {0};
    struct error err;
    for (int i = 0; i < 1000; i++)
        bytes_add_text(&source, "é");
    bytes_add_text(&source, "{{ a b }}");
    for (int i = 0; i < 1000; i++)
        bytes_add_text(&source, "é");
    CHECK_EQ(fails(source.data, source.len, &err), ERROR_INPUT);
    CHECK(strstr(err.text, "line 1, column 1006: ") == err.text);
    CHECK(strstr(err.text, "got 'b': …é") != NULL);
    CHECK(strstr(err.text, "{{ a b }}é") != NULL);
    CHECK(strlen(err.text) < sizeof err.text - 1);
    CHECK(strcmp(err.text + strlen(err.text) - strlen("é…"), "é…") == 0);
    bytes_release(&source);
}

TEST(messages_with_long_names_are_cut_at_a_character)
{
    struct bytes source = {0};
    struct error err;
    bytes_add_text(&source, "{% ");
    for (int i = 0; i < 1000; i++)
        bytes_add_text(&source, "名");
    bytes_add_text(&source, " %}");
    CHECK_EQ(fails(source.data, source.len, &err), ERROR_INPUT);
    CHECK(strstr(err.text, "Encountered unknown tag '名名") != NULL);
    bytes_release(&source);
}

TEST(what_is_beyond_this_implementation_is_unsupported)
{
    struct error err;
    const char *const sources[] = {"{{ 9223372036854775808 }}", "{{ 0x1_0000_0000_0000_0000 }}",
                                   "{{ '\\ud83d' }}", "{{ '\\ud83d\\ude00' }}",
                                   "{{ '\\N{DIGIT ONE}' }}"};
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) {
        CHECK_EQ(fails(sources[i], strlen(sources[i]), &err), ERROR_UNSUPPORTED);
        CHECK(strstr(err.text, "line 1, column 4: NotSupported: ") == err.text);
    }
}

TEST(only_utf8_of_a_bounded_size_is_a_template)
{
    struct error err;
    CHECK_EQ(fails("ab\xff", 3, &err), ERROR_INPUT);
    CHECK_STR(err.text, "the template is not UTF-8 at byte 2");
    CHECK_EQ(fails("a\0b", 3, &err), ERROR_NONE);
    struct bytes source = {0};
    while (source.len <= JINJA_MAX_SOURCE_BYTES)
        bytes_add_text(&source, "0123456789abcdef");
    CHECK_EQ(fails(source.data, source.len, &err), ERROR_INPUT);
    CHECK(strstr(err.text, "the most is 1048576") != NULL);
    bytes_release(&source);
}

/* "before", n times "more", "middle", n times "rest". */
static void repeat(struct bytes *out, const char *const parts[4], int n)
{
    bytes_clear(out);
    bytes_add_text(out, parts[0]);
    for (int i = 0; i < n; i++)
        bytes_add_text(out, parts[1]);
    bytes_add_text(out, parts[2]);
    for (int i = 0; i < n; i++)
        bytes_add_text(out, parts[3]);
}

/* Each nests or chains once more for every repetition. */
static const char *const nestings[][4] = {
    {"{{ ", "(", "1", ")"},
    {"{{ ", "[", "1", "]"},
    {"{{ ", "{1: ", "1", "}"},
    {"{{ ", "-", "1", ""},
    {"{{ ", "not ", "1", ""},
    {"{{ ", "f(", "1", ")"},
    {"{{ ", "a[", "1", "]"},
    {"{{ ", "1 if 1 else ", "1", ""},
    {"{{ 1", " if 1", "", ""},
    {"{{ a", ".b", "", ""},
    {"{{ a", "[1]", "", ""},
    {"{{ a", "()", "", ""},
    {"{{ a", "|upper", "", ""},
    {"{{ a", " is odd", "", ""},
    {"{{ a", " + a", "", ""},
    {"{{ a", " ** a", "", ""},
    {"{{ a", " and a", "", ""},
    {"{{ ", "a|upper(", "1", ")"},
    {"{% if a %}", "{% if a %}", "", "{% endif %}"},
    {"{% if a %}", "{% elif a %}", "", ""},
    {"{% for a in b %}", "{% for a in b %}", "", "{% endfor %}"},
    {"", "{% macro m() %}", "", "{% endmacro %}"},
    {"", "{% call f() %}", "", "{% endcall %}"},
    {"{% set ", "(", "a", ",)"},
    {"{% for a in ", "[", "1", "]"},
};

TEST(trees_are_bounded_in_height)
{
    struct bytes source = {0};
    struct error err;
    for (size_t i = 0; i < sizeof nestings / sizeof *nestings; i++) {
        /* What ends the sources is missing: that is found when all before was fine. */
        repeat(&source, nestings[i], AST_MAX_HEIGHT / 2);
        fails(source.data ? source.data : "", source.len, &err);
        if (strstr(err.text, "nested more than") != NULL)
            test_fail(__FILE__, __LINE__, "refused too early: %s%s", nestings[i][0],
                      nestings[i][1]);
        repeat(&source, nestings[i], 30000);
        const bool is_test = strstr(nestings[i][1], " is odd") != NULL;
        const bool is_unfinished = strcmp(nestings[i][1], "{% elif a %}") == 0;
        CHECK_EQ(fails(source.data, source.len, &err), ERROR_INPUT);
        if (strstr(err.text, "nested more than") == NULL && !is_test && !is_unfinished)
            test_fail(__FILE__, __LINE__, "%s%s: %s", nestings[i][0], nestings[i][1], err.text);
    }
    bytes_release(&source);
}

TEST(lists_are_not_bounded_in_length)
{
    static const char *const lists[][4] = {
        {"{{ [", "1, ", "] }}", ""},   {"{{ f(", "1, ", ") }}", ""}, {"{{ a", " ~ a", " }}", ""},
        {"{{ 1", " < 2", " }}", ""},   {"", "{{ a }}b", "", ""},     {"{{ '", "\\n", "' }}", ""},
        {"{{ 'a'", " 'a'", " }}", ""},
    };
    struct bytes source = {0};
    struct error err;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        repeat(&source, lists[i], 100000);
        CHECK_EQ(fails(source.data, source.len, &err), ERROR_NONE);
    }
    bytes_release(&source);
}

/* A megabyte of anything takes well under a second; what is quadratic would take minutes. */
TEST(time_is_linear_in_the_source)
{
    static const char *const pieces[] = {
        "{%",
        "{% raw %}",
        "{#",
        "{",
        "{% set a = 1 %}\n",
        "{{ a }}",
        "  \n",
        "{{ 'a",
        "{{ f(a1=1) }}",
        "{%-   ",
        "{{ [",
        "a.b|c ",
        "\\",
        "{# {# #}",
        "{{ f(b=1, c=2",
        "é",
    };
    struct bytes source = {0};
    struct error err;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        bytes_clear(&source);
        while (source.len + 32 < JINJA_MAX_SOURCE_BYTES)
            bytes_add_text(&source, pieces[i]);
        const int64_t begin = test_cpu_ns();
        fails(source.data, source.len, &err);
        const int64_t took_ms = (test_cpu_ns() - begin) / 1000000;
        if (took_ms > 10000)
            test_fail(__FILE__, __LINE__, "%s: %d ms", pieces[i], (int)took_ms);
    }
    bytes_release(&source);
}

TEST(many_names_are_found_fast)
{
    struct bytes source = {0};
    struct error err;
    bytes_add_text(&source, "{{ f(");
    for (int i = 0; i < 60000; i++)
        bytes_printf(&source, "a%d=b%d,", i, i);
    bytes_add_text(&source, ") }}");
    CHECK_EQ(fails(source.data, source.len, &err), ERROR_NONE);
    bytes_release(&source);
}

/* All hashes end with the same 8 bits. */
TEST(names_that_were_chosen_to_collide_are_refused)
{
    static const char source[] = "{{kfd}}{{k10c}}{{k301}}{{k477}}{{k7d9}}{{k990}}{{k9d7}}"
                                 "{{ka03}}{{ka98}}{{kac6}}{{kbd4}}{{kd1a}}{{kd86}}{{kdb8}}"
                                 "{{kea4}}{{kf2b}}{{k105b}}{{k1113}}{{k1188}}{{k11b6}}{{k122a}}"
                                 "{{k12a8}}{{k134f}}{{k1643}}{{k17ee}}{{k189f}}{{k1ac9}}{{k1b21}}"
                                 "{{k1d3d}}{{k1ea7}}{{k1ff9}}{{k2080}}{{k20e7}}{{k217d}}{{k2189}}"
                                 "{{k2224}}{{k23b9}}{{k2422}}{{k2497}}{{k24c5}}{{k24d0}}{{k2611}}"
                                 "{{k28ac}}{{k2930}}{{k2945}}{{k29e2}}{{k2a74}}{{k2b68}}{{k2bea}}"
                                 "{{k2c72}}{{k2ca0}}{{k2cf5}}{{k2efc}}{{k3151}}{{k3357}}{{k3407}}"
                                 "{{k35fd}}{{k375c}}{{k3821}}{{k3a5a}}{{k3af8}}{{k3b9f}}{{k3e28}}"
                                 "{{k3eaa}}{{k4037}}{{k4082}}{{k416e}}{{k44a1}}{{k46ff}}{{k47ab}}"
                                 "{{k48e9}}{{k4947}}{{k4a36}}{{k4b9c}}{{k4bc1}}{{k4ef1}}{{k4f3e}}"
                                 "{{k5122}}{{k5197}}{{k51c5}}{{k51d0}}{{k5311}}{{k547d}}{{k5489}}"
                                 "{{k5580}}{{k55e7}}{{k56b9}}{{k5724}}{{k589b}}{{k5948}}{{k5b1d}}"
                                 "{{k5d74}}{{k5e4d}}{{k5f72}}{{k5fa0}}{{k5ff5}}{{k6291}}{{k62cc}}"
                                 "{{k6325}}{{k6350}}{{k63c2}}{{k6400}}{{k6475}}{{k64f2}}{{k6509}}"
                                 "{{k66ae}}{{k6718}}{{k6783}}{{k67ba}}{{k69fc}}{{k6a9b}}{{k6cdc}}"
                                 "{{k6dac}}{{k6e30}}{{k6e45}}{{k6ee2}}{{k6f59}}{{k7032}}{{k7087}}"
                                 "{{k70b5}}";
    struct error err;
    CHECK_EQ(fails(source, sizeof source - 1, &err), ERROR_INPUT);
    CHECK(strstr(err.text, "names that were chosen to collide") != NULL);
}

TEST(a_long_dotted_name_takes_no_more_memory_than_its_source)
{
    struct bytes source = {0};
    struct error err;
    bytes_add_text(&source, "{{ x|a");
    for (int i = 0; i < 400000; i++)
        bytes_add_text(&source, ".a");
    bytes_add_text(&source, " }}");
    CHECK_EQ(fails(source.data, source.len, &err), ERROR_INPUT);
    CHECK(strstr(err.text, "No filter named 'a.a.a") != NULL);
    bytes_release(&source);
}

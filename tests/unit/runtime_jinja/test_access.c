#include "runtime/jinja/values/access.h"
#include "tests/test.h"
#include "tests/unit/runtime_jinja/values.h"

#include <string.h>

#define V(literal) value_of(&r, literal)

/* The value, or what is raised when it is used. */
static const char *used(struct run *r, bool ok, struct value v)
{
    if (ok && v.kind == VALUE_UNDEFINED)
        ok = run_raise_undefined(r, v);
    return outcome(r, ok, v);
}

static const char *attribute(struct run *r, const char *v, const char *name)
{
    struct value key, out;
    CHECK(value_make_static(r, name, &key));
    const bool ok = value_attribute(r, value_of(r, v), key.as.string, &out);
    return used(r, ok, out);
}

static const char *item(struct run *r, const char *v, const char *key)
{
    struct value out;
    const bool ok = value_item(r, value_of(r, v), value_of(r, key), &out);
    return used(r, ok, out);
}

static const char *slice(struct run *r, const char *v, const char *start, const char *stop,
                         const char *step)
{
    struct value out;
    const bool ok = value_slice(r, value_of(r, v), value_of(r, start), value_of(r, stop),
                                value_of(r, step), &out);
    return outcome(r, ok, out);
}

TEST(an_attribute_of_a_dict_is_its_item)
{
    struct run r = start_run();
    CHECK_STR(attribute(&r, "{'role': 'user'}", "role"), "'user'");
    CHECK_STR(attribute(&r, "{'_x': 1}", "_x"), "1"); /* no attribute of Python's */
    CHECK_STR(attribute(&r, "{1: 2}", "role"),
              "UndefinedError: 'dict object' has no attribute 'role'");
    arena_release(&r.arena);
}

TEST(a_method_goes_before_an_item_of_its_name)
{
    struct run r = start_run();
    struct value v, key;
    CHECK(value_make_static(&r, "items", &key));
    CHECK(value_attribute(&r, V("{'items': 1}"), key.as.string, &v));
    CHECK_EQ(v.kind, VALUE_OBJECT);
    CHECK(value_item(&r, V("{'items': 1}"), key, &v));
    CHECK_EQ(v.kind, VALUE_INT);
    CHECK(value_item(&r, V("{'a': 1}"), key, &v));
    CHECK_EQ(v.kind, VALUE_OBJECT);
    arena_release(&r.arena);
}

TEST(what_does_not_exist_says_so_when_it_is_used)
{
    struct run r = start_run();
    static const struct {
        const char *v, *key, *want;
    } cases[] = {
        {"{}", "'a'", "UndefinedError: 'dict object' has no attribute 'a'"},
        {"{}", "1", "UndefinedError: dict object has no element 1"},
        {"{}", "[1]", "UndefinedError: dict object has no element [1]"},
        {"{}", "(1, {})", "UndefinedError: dict object has no element (1, {})"},
        {"[1]", "1", "UndefinedError: list object has no element 1"},
        {"[1]", "-2", "UndefinedError: list object has no element -2"},
        {"[1]", "0.0", "UndefinedError: list object has no element 0.0"},
        {"[1]", "'a'", "UndefinedError: 'list object' has no attribute 'a'"},
        {"'abc'", "3", "UndefinedError: str object has no element 3"},
        {"m'abc'", "3", "UndefinedError: markupsafe.Markup object has no element 3"},
        {"m'abc'", "'a'", "UndefinedError: 'markupsafe.Markup object' has no attribute 'a'"},
        {"None", "'a'", "UndefinedError: 'None' has no attribute 'a'"},
        {"None", "0", "UndefinedError: None has no element 0"},
        {"5", "'a'", "UndefinedError: 'int object' has no attribute 'a'"},
        {"True", "0", "UndefinedError: bool object has no element 0"},
        {"x", "0", "UndefinedError: 'x' is undefined"},
        {"'abc'", "x", "UndefinedError: str object has no element Undefined"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_STR(item(&r, cases[i].v, cases[i].key), cases[i].want);
    CHECK_STR(attribute(&r, "x", "a"), "UndefinedError: 'x' is undefined");
    CHECK_STR(attribute(&r, "None", "a"), "UndefinedError: 'None' has no attribute 'a'");
    arena_release(&r.arena);
}

TEST(items_are_counted_from_both_ends_in_characters)
{
    struct run r = start_run();
    CHECK_STR(item(&r, "'aé😀z'", "2"), "'😀'");
    CHECK_STR(item(&r, "'aé😀z'", "-3"), "'é'");
    CHECK_STR(item(&r, "'abc'", "-1"), "'c'");
    CHECK_STR(item(&r, "[1, 2]", "True"), "2");
    CHECK_STR(item(&r, "(1, 2)", "-2"), "1");
    CHECK_STR(item(&r, "{1: 2}", "1.0"), "2");
    arena_release(&r.arena);
}

TEST(what_the_sandbox_hides_is_refused_when_it_is_used)
{
    struct run r = start_run();
    CHECK_STR(attribute(&r, "'a'", "__class__"),
              "SecurityError: access to attribute '__class__' of 'str' object is unsafe.");
    CHECK_STR(attribute(&r, "[]", "append"),
              "SecurityError: access to attribute 'append' of 'list' object is unsafe.");
    CHECK_STR(attribute(&r, "{'update': 1}", "update"),
              "SecurityError: access to attribute 'update' of 'dict' object is unsafe.");
    CHECK_STR(item(&r, "5", "'__add__'"),
              "SecurityError: access to attribute '__add__' of 'int' object is unsafe.");
    CHECK_STR(attribute(&r, "x", "_undefined_name"),
              "SecurityError: access to attribute '_undefined_name' of 'Undefined' object is "
              "unsafe.");
    arena_release(&r.arena);
}

TEST(a_private_name_that_no_class_has_is_just_undefined)
{
    struct run r = start_run();
    CHECK_STR(attribute(&r, "'a'", "__foo__"),
              "UndefinedError: 'str object' has no attribute '__foo__'");
    CHECK_STR(attribute(&r, "{}", "__add__"),
              "UndefinedError: 'dict object' has no attribute '__add__'");
    CHECK_STR(attribute(&r, "x", "__foo__"), "UndefinedError: 'x' is undefined");
    arena_release(&r.arena);
}

TEST(slices_are_those_of_python)
{
    struct run r = start_run();
    static const struct {
        const char *v, *start, *stop, *step, *want;
    } cases[] = {
        {"'abcdef'", "1", "4", "None", "'bcd'"},
        {"'abcdef'", "None", "None", "-1", "'fedcba'"},
        {"'abcdef'", "-2", "None", "None", "'ef'"},
        {"'abcdef'", "None", "-4", "None", "'ab'"},
        {"'abcdef'", "4", "1", "None", "''"},
        {"'abcdef'", "4", "1", "-2", "'ec'"},
        {"'abcdef'", "None", "None", "4", "'ae'"},
        {"'abcdef'", "100", "-100", "-3", "'fc'"},
        {"'aé中😀z'", "1", "4", "None", "'é中😀'"},
        {"'aé中😀z'", "None", "None", "2", "'a中z'"},
        {"'aé中😀z'", "None", "None", "-2", "'z中a'"},
        {"[1, 2, 3, 4]", "1", "None", "2", "[2, 4]"},
        {"(1, 2, 3, 4)", "None", "None", "-3", "(4, 1)"},
        {"[1, 2]", "True", "None", "None", "[2]"},
        {"[1, 2]", "None", "None", "9223372036854775807", "[1]"},
        {"[1, 2]", "None", "None", "-9223372036854775808", "[2]"},
        {"[1, 2]", "-9223372036854775808", "9223372036854775807", "None", "[1, 2]"},
        {"m'abc'", "0", "2", "None", "Markup('ab')"},
        {"m'abc'", "None", "None", "2", "Markup('ac')"},
        {"[1]", "None", "None", "0", "ValueError: slice step cannot be zero"},
        {"[1]", "'a'", "None", "None",
         "TypeError: slice indices must be integers or None or have an __index__ method"},
        {"'a'", "None", "x", "None",
         "TypeError: slice indices must be integers or None or have an __index__ method"},
        {"{}", "None", "None", "None", "TypeError: unhashable type: 'slice'"},
        {"5", "None", "None", "None", "TypeError: 'int' object is not subscriptable"},
        {"x", "None", "None", "None", "UndefinedError: 'x' is undefined"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *got = slice(&r, cases[i].v, cases[i].start, cases[i].stop, cases[i].step);
        if (strcmp(got, cases[i].want) != 0)
            test_fail(__FILE__, __LINE__, "%s[%s:%s:%s] is %s, want %s", cases[i].v, cases[i].start,
                      cases[i].stop, cases[i].step, got, cases[i].want);
    }
    arena_release(&r.arena);
}

TEST(slices_and_items_of_a_users_text_are_the_users)
{
    struct run r = start_run();
    struct value v, text;
    CHECK(value_binary(&r, OP_ADD, V("'aé'"), V("u'中bc'"), &text));
    CHECK(value_slice(&r, text, V("1"), V("4"), V("None"), &v));
    CHECK_STR(marked(&r, v), "é‹中b›");
    CHECK(value_slice(&r, text, V("None"), V("None"), V("-1"), &v));
    CHECK_STR(marked(&r, v), "‹cb中›éa");
    CHECK(value_item(&r, text, V("2"), &v));
    CHECK_STR(marked(&r, v), "‹中›");
    arena_release(&r.arena);
}

TEST(what_cannot_be_called_says_so)
{
    struct run r = start_run();
    struct value v;
    const struct arguments none = {0};
    CHECK_STR(outcome(&r, value_call(&r, V("5"), &none, &v), v),
              "TypeError: 'int' object is not callable");
    CHECK_STR(outcome(&r, value_call(&r, V("None"), &none, &v), v),
              "TypeError: 'NoneType' object is not callable");
    CHECK_STR(outcome(&r, value_call(&r, V("x"), &none, &v), v),
              "UndefinedError: 'x' is undefined");
    arena_release(&r.arena);
}

#include "runtime/jinja/values/access.h"
#include "runtime/jinja/values/value.h"
#include "tests/test.h"
#include "tests/unit/runtime_jinja/values.h"

#include <stdio.h>

#define V(literal) value_of(&r, literal)

TEST(a_dict_keeps_the_order_in_which_keys_came)
{
    struct run r = start_run();
    const struct value v = V("{'b': 1, 'a': 2, 3: 4, 'b': 5}");
    CHECK_STR(outcome(&r, true, v), "{'b': 5, 'a': 2, 3: 4}");
    arena_release(&r.arena);
}

TEST(numbers_that_are_equal_are_one_key_and_the_first_stays)
{
    struct run r = start_run();
    CHECK_STR(outcome(&r, true, V("{1: 'a', 1.0: 'b', True: 'c', 0.0: 'd', -0.0: 'e'}")),
              "{1: 'c', 0.0: 'e'}");
    CHECK_STR(outcome(&r, true, V("{9007199254740993: 1, 9007199254740992.0: 2}")),
              "{9007199254740993: 1, 9007199254740992.0: 2}");
    arena_release(&r.arena);
}

TEST(a_list_is_no_key)
{
    struct run r = start_run();
    struct dict *dict = dict_make(&r);
    CHECK_STR(outcome(&r, dict_set(&r, dict, V("(1, [2])"), value_none()), value_none()),
              "TypeError: unhashable type: 'list'");
    arena_release(&r.arena);
}

TEST(a_large_dict_finds_every_key_and_no_other)
{
    struct run r = start_run();
    struct dict *dict = dict_make(&r);
    for (int i = 0; i < 20000; i++) {
        CHECK(dict_set(&r, dict, value_int(7 * i), value_int(i)));
        const struct value *found;
        CHECK(dict_find(&r, dict, value_int(7 * i + 1), &found));
        CHECK(found == NULL);
    }
    for (int i = 0; i < 20000; i++) {
        const struct value *found;
        CHECK(dict_find(&r, dict, value_int(7 * i), &found));
        CHECK(found != NULL);
        CHECK_EQ(found->as.integer, i);
    }
    CHECK_EQ(dict->n, 20000);
    CHECK(r.n_steps < 20000); /* few searches are long */
    arena_release(&r.arena);
}

TEST(keys_that_collide_cost_steps)
{
    struct run r = start_run();
    struct dict *dict = dict_make(&r);
    for (int64_t i = 0; dict->n < 200; i++) { /* keys that all begin at the first slot */
        uint64_t hash;
        CHECK(value_hash(&r, value_int(i), &hash));
        if (hash % 4096 == 0)
            CHECK(dict_set(&r, dict, value_int(i), value_none()));
    }
    CHECK(r.n_steps > 200 * 180 / 2);
    const struct value *found;
    r.n_steps = 0;
    CHECK(dict_find(&r, dict, dict->items[199].key, &found) && found != NULL);
    CHECK(r.n_steps > 180);
    arena_release(&r.arena);
}

TEST(texts_are_found_by_their_bytes_in_small_and_large_dicts)
{
    struct run r = start_run();
    struct dict *dict = dict_make(&r);
    for (int i = 0; i < 100; i++) {
        char key[16];
        struct value v;
        const int n = snprintf(key, sizeof key, "key %d", i);
        CHECK(value_make_text(&r, key, (size_t)n, false, &v));
        const struct value *found;
        CHECK(dict_set(&r, dict, v, value_int(i)));
        CHECK(dict_find(&r, dict, v, &found) && found != NULL);
        CHECK_EQ(found->as.integer, i);
        CHECK(value_make_text(&r, key, (size_t)n - 1, true, &v));
        CHECK(dict_find(&r, dict, v, &found));
        CHECK((found == NULL) == (i < 10));
    }
    arena_release(&r.arena);
}

TEST(whole_numbers_and_floats_compare_without_rounding)
{
    struct run r = start_run();
    static const struct {
        const char *a, *op, *b;
        bool want;
    } cases[] = {
        {"9007199254740993", "<", "9007199254740992.0", false},
        {"9007199254740993", ">", "9007199254740992.0", true},
        {"9007199254740992.0", "<", "9007199254740993", true},
        {"9223372036854775807", "<", "9223372036854775808.0", true},
        {"-9223372036854775807", ">", "-9223372036854775808.0", true},
        {"1", "<", "1.5", true},
        {"-1", ">", "-1.5", true},
        {"-2", "<", "-1.5", true},
        {"True", "<", "1.5", true},
        {"1", "<=", "1.0", true},
        {"1", "<", "inf", true},
        {"1", "<", "nan", false},
        {"1", ">=", "nan", false},
        {"nan", "<=", "nan", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool less;
        CHECK(value_less(&r, V(cases[i].a), V(cases[i].b), cases[i].op, &less));
        if (less != cases[i].want)
            test_fail(__FILE__, __LINE__, "%s %s %s", cases[i].a, cases[i].op, cases[i].b);
    }
    arena_release(&r.arena);
}

TEST(lists_are_ordered_by_their_first_difference)
{
    struct run r = start_run();
    bool less;
    CHECK(value_less(&r, V("[1, 2]"), V("[1, 2, 0]"), "<", &less));
    CHECK(less);
    CHECK(value_less(&r, V("(1, 3)"), V("(1, 2, 9)"), ">=", &less));
    CHECK(less);
    CHECK_STR(outcome(&r, value_less(&r, V("[1, 'a']"), V("[1, 2]"), "<", &less), value_none()),
              "TypeError: '<' not supported between instances of 'str' and 'int'");
    CHECK_STR(outcome(&r, value_less(&r, V("[1]"), V("(1,)"), ">=", &less), value_none()),
              "TypeError: '>=' not supported between instances of 'list' and 'tuple'");
    arena_release(&r.arena);
}

TEST(texts_are_ordered_by_code_points)
{
    struct run r = start_run();
    bool less;
    CHECK(value_less(&r, V("'\xEF\xBF\xBD'"), V("'\xF0\x9F\x98\x80'"), "<", &less));
    CHECK(less);
    CHECK(value_less(&r, V("'Z'"), V("'a'"), "<", &less));
    CHECK(less);
    arena_release(&r.arena);
}

TEST(an_undefined_value_has_no_order_but_equals_another)
{
    struct run r = start_run();
    bool b;
    CHECK_STR(outcome(&r, value_less(&r, V("1"), V("x"), "<", &b), value_none()),
              "UndefinedError: 'x' is undefined");
    CHECK(value_equal(&r, V("x"), V("y"), &b));
    CHECK(b);
    CHECK(value_equal(&r, V("x"), V("None"), &b));
    CHECK(!b);
    arena_release(&r.arena);
}

TEST(containers_are_equal_by_what_they_hold)
{
    struct run r = start_run();
    static const struct {
        const char *a, *b;
        bool want;
    } cases[] = {
        {"{'a': 1, 'b': [2]}", "{'b': [2.0], 'a': True}", true},
        {"{'a': 1}", "{'a': 2}", false},
        {"{'a': 1}", "{'b': 1}", false},
        {"[1, 2]", "(1, 2)", false},
        {"(1, 'a')", "(1.0, m'a')", true},
        {"[]", "{}", false},
        {"nan", "nan", false},
        {"[nan]", "[nan]", true}, /* the same thing, as in Python a name for it would be */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool equal;
        CHECK(value_equal(&r, V(cases[i].a), V(cases[i].b), &equal));
        if (equal != cases[i].want)
            test_fail(__FILE__, __LINE__, "%s == %s", cases[i].a, cases[i].b);
    }
    arena_release(&r.arena);
}

TEST(what_is_in_a_container_follows_its_kind)
{
    struct run r = start_run();
    bool in;
    CHECK(value_contains(&r, V("'abc'"), V("'bc'"), &in) && in);
    CHECK(value_contains(&r, V("'abc'"), V("''"), &in) && in);
    CHECK(value_contains(&r, V("{1: 2}"), V("1.0"), &in) && in);
    CHECK(value_contains(&r, V("(1, 'a')"), V("'b'"), &in) && !in);
    CHECK(value_contains(&r, V("x"), V("'b'"), &in) && !in);
    CHECK_STR(outcome(&r, value_contains(&r, V("'abc'"), V("1"), &in), value_none()),
              "TypeError: 'in <string>' requires string as left operand, not int");
    CHECK_STR(outcome(&r, value_contains(&r, V("5"), V("1"), &in), value_none()),
              "TypeError: argument of type 'int' is not iterable");
    CHECK_STR(outcome(&r, value_contains(&r, V("{}"), V("[]"), &in), value_none()),
              "TypeError: unhashable type: 'list'");
    arena_release(&r.arena);
}

TEST(truth_is_that_of_python)
{
    struct run r = start_run();
    static const char *const falses[] = {"x",    "None", "False", "0",  "0.0",
                                         "-0.0", "''",   "[]",    "()", "{}"};
    static const char *const trues[] = {"True", "-1", "nan", "'0'", "[0]", "(None,)", "{0: 0}"};
    bool b;
    for (size_t i = 0; i < sizeof falses / sizeof *falses; i++)
        CHECK(value_truth(&r, V(falses[i]), &b) && !b);
    for (size_t i = 0; i < sizeof trues / sizeof *trues; i++)
        CHECK(value_truth(&r, V(trues[i]), &b) && b);
    arena_release(&r.arena);
}

TEST(a_length_counts_characters)
{
    struct run r = start_run();
    int64_t n;
    CHECK(value_length(&r, V("'é中😀'"), &n));
    CHECK_EQ(n, 3);
    CHECK(value_length(&r, V("x"), &n));
    CHECK_EQ(n, 0);
    CHECK_STR(outcome(&r, value_length(&r, V("1.5"), &n), value_none()),
              "TypeError: object of type 'float' has no len()");
    arena_release(&r.arena);
}

TEST(a_walk_gives_characters_items_and_keys)
{
    struct run r = start_run();
    struct list *items;
    CHECK(value_items(&r, V("'aé😀'"), &items));
    CHECK_STR(outcome(&r, true, value_list(items)), "['a', 'é', '😀']");
    CHECK(value_items(&r, V("{'a': 1, 2: 3}"), &items));
    CHECK_STR(outcome(&r, true, value_list(items)), "['a', 2]");
    CHECK(value_items(&r, V("(1, 2)"), &items));
    CHECK_STR(outcome(&r, true, value_list(items)), "[1, 2]");
    CHECK(value_items(&r, V("x"), &items));
    CHECK_EQ(items->n, 0);
    CHECK_STR(outcome(&r, value_items(&r, V("None"), &items), value_none()),
              "TypeError: 'NoneType' object is not iterable");
    arena_release(&r.arena);
}

TEST(a_walk_over_a_users_text_gives_users_characters)
{
    struct run r = start_run();
    struct list *items;
    CHECK(value_items(&r, V("u'é!'"), &items));
    CHECK_STR(marked(&r, items->items[0]), "‹é›");
    CHECK_STR(marked(&r, items->items[1]), "‹!›");
    arena_release(&r.arena);
}

TEST(values_nested_too_deeply_raise_instead_of_using_up_the_stack)
{
    struct run r = start_run();
    struct value a = value_int(1), b = value_int(1), v;
    for (int i = 0; i < 100000; i++) {
        struct list *list_a = list_make(&r, 1), *list_b = list_make(&r, 1);
        CHECK(list_add(&r, list_a, a) && list_add(&r, list_b, b));
        a = value_tuple(list_a);
        b = value_tuple(list_b);
    }
    bool same;
    uint64_t hash;
    const char *want = "RecursionError: maximum recursion depth exceeded";
    CHECK_STR(outcome(&r, value_equal(&r, a, b, &same), value_none()), want);
    CHECK_STR(outcome(&r, value_less(&r, a, b, "<", &same), value_none()), want);
    CHECK_STR(outcome(&r, value_hash(&r, a, &hash), value_none()), want);
    CHECK_STR(outcome(&r, value_repr(&r, a, &v), v), want);
    CHECK_STR(outcome(&r, value_json(&r, a, &(struct json_style){.indent = -1}, &v), v), want);
    CHECK_EQ(r.depth, 0);
    arena_release(&r.arena);
}

TEST(comparing_long_texts_over_and_over_ends_at_the_budget)
{
    struct run r = start_run();
    struct value a, b;
    bool same;
    CHECK(value_binary(&r, OP_MUL, V("'abcdefgh'"), value_int(100000), &a));
    CHECK(value_binary(&r, OP_MUL, V("'abcdefgh'"), value_int(100000), &b));
    r.n_steps = 0;
    r.max_steps = 3 * 800000 / TEXT_BYTES_PER_STEP + 1;
    int n = 0;
    while (value_equal(&r, a, b, &same))
        n++;
    CHECK_EQ(r.exception, LIMIT_EXCEEDED);
    CHECK_EQ(n, 3);
    arena_release(&r.arena);
}

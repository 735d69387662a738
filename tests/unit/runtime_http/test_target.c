#include <stddef.h>

#include "base/memory.h"
#include "runtime/http/target.h"
#include "tests/test.h"

static void check_split(const char *target, const char *want_path, const char *want_query)
{
    char *path = NULL;
    const char *query = NULL;
    CHECK(target_split(target, &path, &query));
    CHECK_STR(path, want_path);
    CHECK_STR(query, want_query);
    memory_free(path);
}

static void check_refused(const char *target)
{
    char *path = NULL;
    const char *query;
    CHECK(!target_split(target, &path, &query));
    memory_free(path);
}

TEST(a_target_is_a_path_and_a_query)
{
    check_split("/", "/", "");
    check_split("/v1/models", "/v1/models", "");
    check_split("/a?b=c?d", "/a", "b=c?d");
    check_split("/a?", "/a", "");
}

TEST(the_path_is_decoded_and_the_query_is_not)
{
    check_split("/a%20b%2fc%C3%a4?%20", "/a b/c\xc3\xa4", "%20");
    check_split("/a+b", "/a+b", "");
    check_split("/%2525", "/%25", "");
}

TEST(dots_are_not_resolved) { check_split("/a/../b/%2e%2e", "/a/../b/..", ""); }

TEST(a_target_may_begin_with_scheme_and_host)
{
    check_split("http://host:80/a?b", "/a", "b");
    check_split("HTTPS://host", "/", "");
    check_split("http://host?b", "/", "b");
}

TEST(targets_that_are_not_understood_are_refused)
{
    check_refused("");
    check_refused("*");
    check_refused("host:443");
    check_refused("a/b");
    check_refused("ftp://host/");
    check_refused("/%");
    check_refused("/%4");
    check_refused("/%g0");
    check_refused("/a b");
}

TEST(control_characters_are_refused_however_they_are_written)
{
    check_refused("/%00");
    check_refused("/a%0d%0aSet-Cookie:");
    check_refused("/%7f");
    check_refused("/a\tb");
}

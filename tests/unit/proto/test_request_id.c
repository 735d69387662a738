#include "proto/request_id.h"

#include "base/error.h"
#include "tests/test.h"

#include <string.h>

TEST(a_name_that_was_made_is_a_good_one_and_no_other_requests)
{
    char first[REQUEST_ID_BYTES], second[REQUEST_ID_BYTES];
    request_id_make(first);
    request_id_make(second);
    CHECK(request_id_is_good(first));
    CHECK_EQ(strlen(first), 32);
    CHECK(strcmp(first, second) != 0);
}

TEST(a_name_that_cannot_stand_in_a_log_and_a_header_is_refused_with_its_field)
{
    static const char *const bad[] = {
        "", "a b", "a\n", "a/b", "\xc3\xa4", "0123456789012345678901234567890123456789012345678"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error err = {0};
        CHECK(!request_id_check(bad[i], &err));
        CHECK_EQ(err.kind, ERROR_INPUT);
        CHECK_STR(err.param, "request_id");
    }
    CHECK(request_id_is_good("123e4567-E89b_12.3"));
    CHECK(request_id_is_good("012345678901234567890123456789012345678901234567"));
}

#include "runtime/http/date.h"
#include "tests/test.h"

static void check_date(long long seconds, const char *want)
{
    char text[DATE_BYTES];
    date_format(text, sizeof(text), seconds);
    CHECK_STR(text, want);
}

TEST(dates_are_as_http_writes_them)
{
    check_date(0, "Thu, 01 Jan 1970 00:00:00 GMT");
    check_date(784111777, "Sun, 06 Nov 1994 08:49:37 GMT");
    check_date(951782399, "Mon, 28 Feb 2000 23:59:59 GMT");
    check_date(951782400, "Tue, 29 Feb 2000 00:00:00 GMT");
    check_date(951868800, "Wed, 01 Mar 2000 00:00:00 GMT");
    check_date(4107542400, "Mon, 01 Mar 2100 00:00:00 GMT"); /* which has no leap day */
    check_date(253402300799, "Fri, 31 Dec 9999 23:59:59 GMT");
}

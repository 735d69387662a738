/* The calendar is Howard Hinnant's ("chrono-compatible low-level date algorithms"): days in eras of
 * 400 years that begin in March, so that leap days come last. */
#include "runtime/http/date.h"

#include <stdio.h>

enum { SECONDS_OF_DAY = 86400, DAYS_OF_ERA = 146097, DAYS_TO_1970 = 719468 };

void date_format(char *out, size_t n_out, int64_t seconds)
{
    static const char week[] = "ThuFriSatSunMonTueWed";
    static const char months[] = "MarAprMayJunJulAugSepOctNovDecJanFeb";
    const uint64_t days = (uint64_t)seconds / SECONDS_OF_DAY;
    const unsigned second = (unsigned)((uint64_t)seconds % SECONDS_OF_DAY);
    const unsigned era = (unsigned)((days + DAYS_TO_1970) / DAYS_OF_ERA);
    const unsigned day_of_era = (unsigned)((days + DAYS_TO_1970) % DAYS_OF_ERA);
    const unsigned year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const unsigned day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const unsigned month = (5 * day_of_year + 2) / 153; /* from March */
    const unsigned day = day_of_year - (153 * month + 2) / 5 + 1;
    const unsigned year = era * 400 + year_of_era + (month >= 10);
    snprintf(out, n_out, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT", week + days % 7 * 3, day,
             months + month * 3, year, second / 3600, second / 60 % 60, second % 60);
}

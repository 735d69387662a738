/* The C library formats, always in the locale "C", whatever the process has set. What Python puts
 * in before is put in here: %f, %z and %Z. */
#include "runtime/jinja/builtins/strftime.h"

#include "base/system.h"
#include "runtime/jinja/values/run.h"
#include "runtime/jinja/values/text.h"

#include <locale.h>
#include <string.h>
#include <time.h>

enum {
    FIRST_BYTES = 1024,
    MOST_TIMES = 256, /* Python gives up, with an empty text, beyond so many bytes for each */
};

static bool is_leap(int year) { return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0; }

static int day_of_year(const struct calendar_time *t)
{
    static const int before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    return before[t->month - 1] + t->day - 1 + (t->month > 2 && is_leap(t->year));
}

static int day_of_week(const struct calendar_time *t) /* 0 is Sunday */
{
    const int past = t->year - 1; /* years since the year 1, which began on a Monday */
    return (1 + past + past / 4 - past / 100 + past / 400 + day_of_year(t)) % 7;
}

/* The format with what Python itself fills in. */
static bool fill_in(struct run *r, const struct string *format, struct value *out)
{
    struct builder b;
    builder_init(&b, r);
    for (size_t i = 0; i < format->n_bytes; i++) {
        const char c = format->data[i];
        const char next = i + 1 < format->n_bytes ? format->data[i + 1] : '\0';
        const bool own = c == '%' && (next == 'f' || next == 'z' || next == 'Z');
        if (own && next == 'f' && !builder_add_text(&b, "000000"))
            return false;
        if (!own && !builder_add(&b, format->data + i, 1 + (c == '%' && next != '\0'), false))
            return false;
        i += c == '%' && next != '\0';
    }
    return builder_add(&b, "", 1, false) && builder_end(&b, out);
}

static bool format_all(struct run *r, const struct tm *tm, const char *format, size_t n_format,
                       bool user, struct value *out)
{
    const locale_t locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (locale == (locale_t)0)
        return run_raise(r, LIMIT_EXCEEDED, "no memory for a locale");
    size_t n = 0;
    char *text = NULL;
    for (size_t room = FIRST_BYTES; n == 0; room *= 2) {
        text = run_step(r, 1) ? run_alloc(r, room, 1) : NULL;
        if (text == NULL)
            break;
        n = strftime_l(text, room, format, tm, locale);
        if (room >= MOST_TIMES * n_format)
            break;
    }
    freelocale(locale);
    return text != NULL && value_make_text(r, text, n, user, out);
}

bool strftime_text(struct run *r, const struct calendar_time *moment, const struct string *format,
                   struct value *out)
{
    if (format->n_bytes > 0 && memchr(format->data, '\0', format->n_bytes) != NULL)
        return run_raise(r, VALUE_ERROR, "embedded null character");
    const struct tm tm = {
        .tm_year = moment->year - 1900,
        .tm_mon = moment->month - 1,
        .tm_mday = moment->day,
        .tm_hour = moment->hour,
        .tm_min = moment->minute,
        .tm_sec = moment->second,
        .tm_wday = day_of_week(moment),
        .tm_yday = day_of_year(moment),
        .tm_isdst = -1,
    };
    struct value filled;
    return fill_in(r, format, &filled) &&
           format_all(r, &tm, filled.as.string->data, filled.as.string->n_bytes - 1,
                      string_has_user(format, 0, format->n_bytes), out);
}

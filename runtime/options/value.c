/* A text becomes the value of an option. */
#include "base/bytes.h"
#include "base/error.h"
#include "runtime/options/table.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Of nothing, or of a letter and what may follow it: 80g, 80GB and 80e9 are the same, and so are
 * 80G and 80GiB. 0: it is no suffix. */
static int64_t multiplier(const char *suffix)
{
    static const char letters[] = "kmgtKMGT";
    if (*suffix == '\0')
        return 1;
    const char *letter = strchr(letters, *suffix), *rest = suffix + 1;
    const bool binary = strcasecmp(rest, "i") == 0 || strcasecmp(rest, "ib") == 0;
    if (letter == NULL || !(binary || *rest == '\0' || strcasecmp(rest, "b") == 0))
        return 0;
    const long index = letter - letters;
    const int64_t base = binary || (*rest == '\0' && index >= 4) ? 1024 : 1000;
    int64_t times = base;
    for (long i = index % 4; i > 0; i--)
        times *= base;
    return times;
}

static bool parse_number(const struct option *option, const char *where, const char *text,
                         double *out, struct error *err)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    const bool whole = option->kind == OPTION_INT;
    if (whole && end != text)
        end += strspn(end, " ");
    const int64_t times = whole ? multiplier(end) : *end == '\0';
    if (end == text || times == 0 || errno == ERANGE ||
        !(isfinite(value) || value == option->max) ||
        (whole && value * (double)times != floor(value * (double)times)))
        return error_set(
            err, ERROR_INPUT, "%s: '%s' is no %s", where, text,
            whole ? "whole number (k, m, g and KB, MB, GB are thousands; K, M, G are 1024s)"
                  : "number");
    value *= (double)times;
    if (value < option->min || value > option->max)
        return error_set(err, ERROR_INPUT, "%s: %s is outside %.15g .. %.15g", where, text,
                         option->min, option->max);
    *out = value;
    return true;
}

static bool is_choice(const char *choices, const char *text)
{
    const size_t n = strcspn(text, "|");
    if (text[n] != '\0')
        return false; /* several of them, as the help writes them */
    for (const char *c = choices; c != NULL; c = strchr(c, '|') ? strchr(c, '|') + 1 : NULL)
        if (strncmp(c, text, n) == 0 && (c[n] == '|' || c[n] == '\0'))
            return n > 0;
    return false;
}

static bool parse_flag(const char *where, const char *text, bool *out, struct error *err)
{
    static const char *const words[2][4] = {{"false", "no", "off", "0"},
                                            {"true", "yes", "on", "1"}};
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 4; k++)
            if (strcasecmp(text, words[i][k]) == 0) {
                *out = i == 1;
                return true;
            }
    return error_set(err, ERROR_INPUT, "%s: '%s' is neither true nor false", where, text);
}

void option_list_add(struct options *out, struct option_list *list, const char *text)
{
    if ((list->n & (list->n - 1)) == 0) { /* full: its room is the power of two from n on */
        const size_t n = (size_t)list->n, room = n ? 2 * n : 1;
        const char **items = arena_alloc(&out->arena, room, sizeof *items);
        if (n > 0)
            memcpy(items, list->item, n * sizeof *items);
        list->item = items;
    }
    list->item[list->n++] = text;
}

void option_clear(struct options *out, const struct option *option)
{
    static const size_t n_bytes[] = {[OPTION_FLAG] = sizeof(bool),
                                     [OPTION_INT] = sizeof(int64_t),
                                     [OPTION_NUMBER] = sizeof(double),
                                     [OPTION_TEXT] = sizeof(const char *),
                                     [OPTION_LIST] = sizeof(struct option_list)};
    memset((char *)out + option->offset, 0, n_bytes[option->kind]);
}

bool option_set(struct options *out, const struct option *option, const char *where,
                const char *text, struct error *err)
{
    void *field = (char *)out + option->offset;
    double value;
    switch (option->kind) {
    case OPTION_FLAG:
        return parse_flag(where, text, field, err);
    case OPTION_INT:
        if (!parse_number(option, where, text, &value, err))
            return false;
        *(int64_t *)field = (int64_t)value;
        return true;
    case OPTION_NUMBER:
        return parse_number(option, where, text, field, err);
    case OPTION_TEXT:
        if (option->choices != NULL && !is_choice(option->choices, text))
            return error_set(err, ERROR_INPUT, "%s: '%s' is none of %s", where, text,
                             option->choices);
        *(const char **)field = arena_copy_text(&out->arena, text, strlen(text));
        return true;
    case OPTION_LIST:
        option_list_add(out, field, arena_copy_text(&out->arena, text, strlen(text)));
        return true;
    }
    return true;
}

void option_print(struct bytes *out, const struct options *options, const struct option *option)
{
    const void *field = (const char *)options + option->offset;
    const struct option_list *list = field;
    switch (option->kind) {
    case OPTION_FLAG:
        bytes_add_text(out, *(const bool *)field ? "true" : "false");
        break;
    case OPTION_INT:
        bytes_printf(out, "%lld", (long long)*(const int64_t *)field);
        break;
    case OPTION_NUMBER:
        bytes_printf(out, "%.15g", *(const double *)field);
        break;
    case OPTION_TEXT:
        bytes_add_text(out, *(const char *const *)field ? *(const char *const *)field : "");
        break;
    case OPTION_LIST:
        for (int i = 0; i < list->n; i++)
            bytes_printf(out, "%s%s", i > 0 ? ", " : "", list->item[i]);
        break;
    }
}

bool option_is_null(const char *text)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(text, words[i]) == 0)
            return true;
    return false;
}

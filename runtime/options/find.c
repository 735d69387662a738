/* Which row a name means, and which it may have meant. */
#include "base/check.h"
#include "base/error.h"
#include "runtime/options/table.h"

#include <string.h>

enum { LONGEST = 64 }; /* no name is longer */

static bool has_bit(const uint64_t *bits, const struct option *option)
{
    const int i = option_number(option);
    return (bits[i / 64] >> (i % 64) & 1) != 0;
}

static void set_bit(uint64_t *bits, const struct option *option, bool to)
{
    const int i = option_number(option);
    const uint64_t bit = (uint64_t)1 << (i % 64);
    bits[i / 64] = to ? bits[i / 64] | bit : bits[i / 64] & ~bit;
}

bool option_is_given(const struct options *options, const struct option *option)
{
    return has_bit(options->given, option);
}

void option_mark_given(struct options *options, const struct option *option)
{
    set_bit(options->given, option, true);
}

void option_mark_null(struct options *options, const struct option *option)
{
    option_reset(options, option);
    set_bit(options->nulls, option, true);
}

bool option_is_settled(const struct options *options, const struct option *option)
{
    return option_is_given(options, option) || has_bit(options->nulls, option);
}

void option_reset(struct options *options, const struct option *option)
{
    struct error err = {0};
    set_bit(options->given, option, false);
    option_clear(options, option);
    if (option->default_text != NULL)
        check(option_set(options, option, option->name, option->default_text, &err));
}

bool option_belongs(const struct option *option, enum command command)
{
    return (option->commands >> command & 1) != 0;
}

const struct option *option_find(const char *name, enum command command)
{
    for (int i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        if (option_belongs(option, command) &&
            (strcmp(option->name, name) == 0 ||
             (option->alias && strcmp(option->alias, name) == 0)))
            return option;
    }
    return NULL;
}

/* What only the command line can say has no key. */
static bool has_key(const struct option *option)
{
    return strcmp(option->name, "--config") != 0 && strcmp(option->name, "--help") != 0;
}

/* `out` has LONGEST bytes; false when the key is longer than any name. */
static bool name_of_key(char *out, const char *key)
{
    const size_t n = strlen(key);
    if (n + 3 > LONGEST)
        return false;
    memcpy(out, "--", 2);
    for (size_t i = 0; i <= n; i++)
        out[2 + i] = key[i] == '_' ? '-' : key[i];
    return true;
}

const struct option *option_find_key(const char *key, enum command command)
{
    char name[LONGEST];
    if (!name_of_key(name, key))
        return NULL;
    const struct option *option = option_find(name, command);
    for (int i = 0; option == NULL && i < option_count(); i++)
        if (option_at(i)->key != NULL && strcmp(option_at(i)->key, key) == 0 &&
            option_belongs(option_at(i), command))
            option = option_at(i);
    return option != NULL && has_key(option) ? option : NULL;
}

/* Edits (insert, remove, change a letter) from a to b; names are short, so rows fit here. */
static int distance(const char *a, const char *b)
{
    int row[LONGEST + 1];
    const int n = (int)strlen(b);
    if (n > LONGEST || strlen(a) > LONGEST)
        return LONGEST;
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 1; a[i - 1] != '\0'; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            const int above = row[j];
            int best = diagonal + (a[i - 1] != b[j - 1]);
            best = above + 1 < best ? above + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            row[j] = best;
            diagonal = above;
        }
    }
    return row[n];
}

const struct option *option_nearest(const char *name, enum command command)
{
    const struct option *best = NULL;
    int best_distance = (int)strlen(name) / 3 + 1; /* further away is no suggestion */
    for (int i = 0; i < option_count(); i++) {
        if (!option_belongs(option_at(i), command))
            continue;
        const int d = distance(name, option_at(i)->name);
        if (d <= best_distance) {
            best = option_at(i);
            best_distance = d - 1;
        }
    }
    return best;
}

bool option_unknown_key(const char *where, const char *key, enum command command, struct error *err)
{
    char name[LONGEST];
    const bool fits = name_of_key(name, key);
    const char *why = fits ? option_absent(name, command) : NULL;
    if (why != NULL)
        return error_set(err, ERROR_INPUT, "%s: %s is no key here: %s", where, key, why);
    const struct option *near = fits ? option_nearest(name, command) : NULL;
    for (int i = 0; near == NULL && i < option_count(); i++)
        if (option_at(i)->key != NULL && option_belongs(option_at(i), command) &&
            distance(key, option_at(i)->key) <= (int)strlen(key) / 3)
            near = option_at(i);
    if (near != NULL && has_key(near)) {
        name_of_key(name, near->name + 2);
        for (char *c = name; *c != '\0'; c++)
            *c = *c == '-' ? '_' : *c;
        return error_set(err, ERROR_INPUT, "%s: unknown key %.60s (did you mean %s?)", where, key,
                         name + 2);
    }
    return error_set(err, ERROR_INPUT, "%s: unknown key %.60s; see --help=all", where, key);
}

/* Reads command lines by the table of options_table.c. */
#include "runtime/options.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "runtime/options_table.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct {
    const char *name, *summary;
} commands[COMMAND_COUNT] = {
    [COMMAND_GENERATE] = {"generate", "Answer one prompt or many."},
    [COMMAND_TOKENIZE] = {"tokenize", "JSON texts in, token ids out, one a line."},
    [COMMAND_DETOKENIZE] = {"detokenize", "Token ids in, JSON texts out, one a line."},
    [COMMAND_DEMO] = {"demo", "The model that ships, on two ranks, one streamed answer."},
    [COMMAND_DOCTOR] = {"doctor", "What this machine and this build can do, and what is missing."},
    [COMMAND_RANK] = {"phalanx-rank", NULL},
};

const char *command_name(enum command command) { return commands[command].name; }
const char *command_summary(enum command command) { return commands[command].summary; }

bool command_find(enum command *out, const char *name)
{
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (commands[i].summary != NULL && strcmp(commands[i].name, name) == 0) {
            *out = (enum command)i;
            return true;
        }
    return false;
}

static bool takes_model(enum command command)
{
    return command == COMMAND_GENERATE || command == COMMAND_TOKENIZE ||
           command == COMMAND_DETOKENIZE || command == COMMAND_RANK;
}

bool option_belongs(const struct option *option, enum command command)
{
    return (option->commands >> command & 1) != 0;
}

const struct option *option_find(const char *name, enum command command)
{
    for (int i = 0; i < n_options; i++) {
        const struct option *option = &option_table[i];
        if (option_belongs(option, command) &&
            (strcmp(option->name, name) == 0 ||
             (option->alias && strcmp(option->alias, name) == 0)))
            return option;
    }
    return NULL;
}

/* Edits (insert, remove, change a letter) from a to b; names are short, so rows fit here. */
static int distance(const char *a, const char *b)
{
    enum { LONGEST = 64 };
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
    for (int i = 0; i < n_options; i++) {
        if (!option_belongs(&option_table[i], command))
            continue;
        const int d = distance(name, option_table[i].name);
        if (d <= best_distance) {
            best = &option_table[i];
            best_distance = d - 1;
        }
    }
    return best;
}

static int64_t multiplier(const char *suffix)
{
    static const struct {
        const char *text;
        int64_t times;
    } known[] = {{"", 1},          {"k", 1000},     {"m", 1000000}, {"g", 1000000000},
                 {"K", 1 << 10},   {"M", 1 << 20},  {"G", 1 << 30}, {"KiB", 1 << 10},
                 {"MiB", 1 << 20}, {"GiB", 1 << 30}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(suffix, known[i].text) == 0)
            return known[i].times;
    return 0;
}

static bool parse_number(const struct option *option, const char *where, const char *text,
                         double *out, struct error *err)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    const bool whole = option->kind == OPTION_INT;
    const int64_t times = whole ? multiplier(end) : *end == '\0';
    if (end == text || times == 0 || errno == ERANGE || !isfinite(value) ||
        (whole && value * (double)times != floor(value * (double)times)))
        return error_set(err, ERROR_INPUT, "%s: '%s' is no %s", where, text,
                         whole ? "whole number (k, m, g are thousands; K, M, G are 1024s)"
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
    const size_t n = strlen(text);
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

static void list_add(struct options *out, struct option_list *list, const char *text)
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
        list_add(out, field, arena_copy_text(&out->arena, text, strlen(text)));
        return true;
    }
    return true;
}

static void set_defaults(struct options *out)
{
    struct error err = {0};
    for (int i = 0; i < n_options; i++)
        if (option_table[i].default_text != NULL)
            check(option_set(out, &option_table[i], option_table[i].name,
                             option_table[i].default_text, &err));
}

static bool unknown_option(const char *name, enum command command, struct error *err)
{
    const struct option *near = option_nearest(name, command);
    return error_set(err, ERROR_INPUT, "unknown option %s%s%s%s; see --help=all", name,
                     near ? " (did you mean " : "", near ? near->name : "", near ? "?)" : "");
}

/* One word that starts with '-'; takes the next word too where it is the value. */
static bool parse_option(struct options *out, int argc, char **argv, int *at, struct error *err)
{
    const char *word = argv[*at];
    const char *equals = strncmp(word, "--", 2) == 0 ? strchr(word, '=') : NULL;
    const size_t n_name = equals ? (size_t)(equals - word) : strlen(word);
    char *name = arena_copy_text(&out->arena, word, n_name);
    for (char *c = name + 2; n_name > 2 && *c != '\0'; c++)
        *c = *c == '_' ? '-' : *c; /* --max_tokens works too */

    const struct option *option = option_find(name, out->command);
    const char *text = equals ? equals + 1 : NULL;
    if (option == NULL && strncmp(name, "--no-", 5) == 0) {
        char *positive = arena_copy_text(&out->arena, name + 3, n_name - 3);
        memcpy(positive, "--", 2);
        option = option_find(positive, out->command);
        if (option == NULL || option->kind != OPTION_FLAG || text != NULL)
            return unknown_option(name, out->command, err);
        text = "false";
    }
    if (option == NULL)
        return unknown_option(name, out->command, err);
    if (strcmp(option->name, "--help") == 0 && text != NULL) {
        out->help_all = strcmp(text, "all") == 0;
        text = "true";
    }
    if (text == NULL && option->kind == OPTION_FLAG)
        text = "true";
    if (text == NULL && *at + 1 < argc)
        text = argv[++*at];
    if (text == NULL)
        return error_set(err, ERROR_INPUT, "%s wants a value (%s)", name, option->value);
    out->given |= (uint64_t)1 << (option - option_table);
    return option_set(out, option, name, text, err);
}

bool options_parse(struct options *out, enum command command, int argc, char **argv,
                   struct error *err)
{
    check(n_options <= 64); /* bits of `given` */
    *out = (struct options){.command = command};
    set_defaults(out);
    for (int i = 0; i < argc; i++) {
        const bool is_option = argv[i][0] == '-' && argv[i][1] != '\0';
        if (is_option && !parse_option(out, argc, argv, &i, err))
            return false;
        if (is_option)
            continue;
        if (!takes_model(command) || out->model != NULL)
            return error_set(err, ERROR_INPUT, "%s does not know what to do with '%s'",
                             command_name(command), argv[i]);
        out->model = arena_copy_text(&out->arena, argv[i], strlen(argv[i]));
    }
    if (out->help)
        return true;
    if (out->config != NULL && !options_read_file(out, out->config, err))
        return false;
    if (takes_model(command) && out->model == NULL)
        return error_set(err, ERROR_INPUT, "%s wants a MODEL: the folder of a checkpoint",
                         command_name(command));
    return true;
}

void options_release(struct options *options) { arena_release(&options->arena); }

bool options_is_given(const struct options *options, const char *name)
{
    const struct option *option = option_find(name, options->command);
    return option != NULL && (options->given >> (option - option_table) & 1) != 0;
}

int options_for_rank(const struct options *options, struct arena *arena, char **word, int max)
{
    int n = 0;
    for (int i = 0; i < n_options; i++) {
        const struct option *option = &option_table[i];
        const void *field = (const char *)options + option->offset;
        if (!option_belongs(option, COMMAND_RANK) || !option_belongs(option, options->command))
            continue;
        struct bytes text = {0};
        bytes_printf(&text, "%s=", option->name);
        if (option->kind == OPTION_FLAG)
            bytes_add_text(&text, *(const bool *)field ? "true" : "false");
        else if (option->kind == OPTION_INT)
            bytes_printf(&text, "%lld", (long long)*(const int64_t *)field);
        else if (option->kind == OPTION_TEXT && *(const char *const *)field != NULL)
            bytes_add_text(&text, *(const char *const *)field);
        check(n < max);
        word[n++] = arena_copy_text(arena, text.data, text.len);
        bytes_release(&text);
    }
    return n;
}

/* Reads command lines by the table of table.h. */
#include "runtime/options/options.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "runtime/options/table.h"

#include <string.h>

static const struct {
    const char *name, *summary;
} commands[COMMAND_COUNT] = {
    [COMMAND_GENERATE] = {"generate", "Answer one prompt or many."},
    [COMMAND_CHAT] = {"chat", "Talk with a model in the terminal."},
    [COMMAND_TOKENIZE] = {"tokenize", "JSON texts in, token ids out, one a line."},
    [COMMAND_DETOKENIZE] = {"detokenize", "Token ids in, JSON texts out, one a line."},
    [COMMAND_RENDER] = {"render", "Messages in, the prompts that a chat template makes out."},
    [COMMAND_DEMO] = {"demo", "The model that ships, on two ranks, one streamed answer."},
    [COMMAND_DOCTOR] = {"doctor", "What this machine and this build can do, and what is missing."},
    [COMMAND_PLAN] = {"plan", "What each rank of a job would hold and receive, before it starts."},
    [COMMAND_SCORE] = {"score", "Texts in; vectors, rewards or probabilities of labels out."},
    [COMMAND_SERVE] = {"serve", "OpenAI HTTP, gRPC, a web page, metrics: a server."},
    [COMMAND_BATCH] =
        {"batch", "A file of OpenAI requests in, a file of answers out; goes on where it was."},
    [COMMAND_BENCH_LATENCY] = {"bench latency",
                               "How long a batch takes, against what memory allows."},
    [COMMAND_BENCH_THROUGHPUT] = {"bench throughput", "How fast many prompts are answered."},
    [COMMAND_BENCH_SERVE] = {"bench serve",
                             "Any OpenAI-compatible server under load: latencies, goodput."},
    [COMMAND_BENCH_STARTUP] = {"bench startup",
                               "How long ranks take to be ready, from the disk and from memory."},
    [COMMAND_LIBRARY] = {"libphalanx", NULL},
    [COMMAND_RANK] = {"phalanx-rank", NULL},
};

const char *command_name(enum command command) { return commands[command].name; }
const char *command_summary(enum command command) { return commands[command].summary; }

int command_find(enum command *out, int n_words, char **word)
{
    for (int i = 0; i < COMMAND_COUNT; i++) {
        const char *name = commands[i].name;
        int n = 0;
        if (commands[i].summary == NULL)
            continue;
        while (*name != '\0' && n < n_words && strncmp(name, word[n], strlen(word[n])) == 0 &&
               strcspn(name, " ") == strlen(word[n])) {
            name += strcspn(name, " ");
            name += *name == ' ';
            n++;
        }
        if (*name == '\0') {
            *out = (enum command)i;
            return n;
        }
    }
    return 0;
}

static bool takes_model(enum command command)
{
    return command != COMMAND_DEMO && command != COMMAND_DOCTOR;
}

/* Without one a bench takes the first model of its server. */
static bool needs_model(enum command command)
{
    return takes_model(command) && command != COMMAND_BENCH_SERVE;
}

static bool unknown_option(const char *name, enum command command, struct error *err)
{
    if (strcmp(name, "--model") == 0 || strcmp(name, "--model-name-or-path") == 0)
        return error_set(err, ERROR_INPUT,
                         "%s: the model is a word without a name: phalanx %s MODEL", name,
                         command_name(command));
    const char *why = option_absent(name, command);
    if (why != NULL)
        return error_set(err, ERROR_INPUT, "%s is no option here: %s", name, why);
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
    option_mark_given(out, option);
    bool good = option_set(out, option, name, text, err);
    while (good && option->many && *at + 1 < argc && argv[*at + 1][0] != '-')
        good = option_set(out, option, name, argv[++*at], err);
    return good;
}

bool option_is_model_key(const char *key)
{
    return strcmp(key, "model") == 0 || strcmp(key, "model_name_or_path") == 0;
}

static bool ends_in(const char *text, const char *end)
{
    const size_t n = strlen(text), n_end = strlen(end);
    return n > n_end && strcmp(text + n - n_end, end) == 0;
}

/* A config.json is that of a checkpoint, given by mistake for its folder. */
static bool is_config(const struct options *out, const char *word)
{
    const char *slash = strrchr(word, '/');
    return option_find("--config", out->command) != NULL &&
           strcmp(slash != NULL ? slash + 1 : word, "config.json") != 0 &&
           (ends_in(word, ".yaml") || ends_in(word, ".yml") || ends_in(word, ".json"));
}

/* The length of the key in key=value; 0: the word is no such pair. */
static size_t key_length(const struct options *out, const char *word)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    const size_t n = strspn(word, letters);
    return word[n] == '=' && option_find("--config", out->command) != NULL ? n : 0;
}

static bool parse_pair(struct options *out, const char *word, size_t n_key, struct error *err)
{
    const char *key = arena_copy_text(&out->arena, word, n_key), *text = word + n_key + 1;
    if (option_is_model_key(key)) {
        if (!option_is_null(text))
            out->model = arena_copy_text(&out->arena, text, strlen(text));
        return true;
    }
    const struct option *option = option_find_key(key, out->command);
    if (option == NULL)
        return option_unknown_key(command_name(out->command), key, out->command, err);
    if (option_is_null(text)) {
        option_mark_null(out, option);
        return true;
    }
    option_mark_given(out, option);
    return option_set(out, option, key, text, err);
}

static bool parse_word(struct options *out, const char *word, bool is_first, struct error *err)
{
    const size_t n_key = key_length(out, word);
    if (n_key > 0)
        return parse_pair(out, word, n_key, err);
    const char *copy = arena_copy_text(&out->arena, word, strlen(word));
    if (is_first && is_config(out, word)) {
        out->config = copy;
        return true;
    }
    if (!takes_model(out->command) || out->model != NULL)
        return error_set(err, ERROR_INPUT, "%s does not know what to do with '%s'",
                         command_name(out->command), word);
    out->model = copy;
    return true;
}

bool options_parse(struct options *out, enum command command, int argc, char **argv,
                   struct error *err)
{
    check(option_count() <= OPTIONS_MAX);
    *out = (struct options){.command = command};
    for (int i = 0; i < option_count(); i++)
        option_reset(out, option_at(i));
    bool is_first = true;
    for (int i = 0; i < argc; i++) {
        const bool is_option = argv[i][0] == '-' && argv[i][1] != '\0';
        if (is_option ? !parse_option(out, argc, argv, &i, err)
                      : !parse_word(out, argv[i], is_first, err))
            return false;
        is_first = is_first && is_option;
    }
    if (out->help)
        return true;
    if (out->config != NULL && !options_read_file(out, out->config, err))
        return false;
    if (needs_model(command) && out->model == NULL)
        return error_set(err, ERROR_INPUT, "%s wants a MODEL: the folder of a checkpoint",
                         command_name(command));
    return options_apply_factory(out, err) && options_apply_vllm(out, err) &&
           options_apply_speculation(out, err);
}

bool options_dummy_weights(const struct options *options)
{
    return options->load_format != NULL && strcmp(options->load_format, "dummy") == 0;
}

static bool is_sampling(const struct option *option)
{
    return strcmp(option->section, "Sampling") == 0;
}

bool options_change(struct options *options, const char *name, const char *text, struct error *err)
{
    const struct option *option = option_find_key(name, options->command);
    if (option == NULL)
        return option_unknown_key("/set", name, options->command, err);
    if (!is_sampling(option))
        return error_set(err, ERROR_INPUT, "%s: only what is about sampling can change now", name);
    if (option_is_null(text)) {
        option_reset(options, option);
        return true;
    }
    if (option->kind == OPTION_LIST)
        option_clear(options, option);
    if (!option_set(options, option, name, text, err))
        return false;
    option_mark_given(options, option);
    return true;
}

void options_print_sampling(FILE *out, const struct options *options)
{
    for (int i = 0; i < option_count(); i++) {
        struct bytes text = {0};
        const struct option *option = option_at(i);
        if (!is_sampling(option) || !option_belongs(option, options->command))
            continue;
        if (option_is_given(options, option))
            option_print(&text, options, option);
        else
            bytes_add_text(&text, "(not set)"); /* it may be the checkpoint's, so no number */
        fprintf(out, "%s = %s\n", option->name + 2, text.data);
        bytes_release(&text);
    }
}

void options_release(struct options *options) { arena_release(&options->arena); }

bool options_is_given(const struct options *options, const char *name)
{
    const struct option *option = option_find(name, options->command);
    return option != NULL && option_is_given(options, option);
}

bool options_print_value(struct bytes *out, const struct options *options, const char *name)
{
    const struct option *option = option_find(name, options->command);
    if (option == NULL)
        return false;
    bytes_add_text(out, "");
    option_print(out, options, option);
    return true;
}

/* A text that nobody gave: an empty word would be one that somebody gave. */
static bool is_no_text(const struct options *options, const struct option *option)
{
    const char *const *text = (const void *)((const char *)options + option->offset);
    return option->kind == OPTION_TEXT && (*text == NULL || **text == '\0');
}

int options_for_rank(const struct options *options, struct arena *arena, char **word, int max)
{
    int n = 0;
    for (int i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        if (!option_belongs(option, COMMAND_RANK) || !option_belongs(option, options->command) ||
            is_no_text(options, option))
            continue;
        struct bytes text = {0};
        bytes_printf(&text, "%s=", option->name);
        option_print(&text, options, option);
        check(n < max);
        word[n++] = arena_copy_text(arena, text.data, text.len);
        bytes_release(&text);
    }
    return n;
}

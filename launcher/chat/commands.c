#include "base/error.h"
#include "base/log.h"
#include "launcher/chat/chat.h"
#include "runtime/options/options.h"

#include <stdio.h>
#include <string.h>

typedef bool command_fn(struct chat *chat, const char *argument, struct error *err);

static command_fn help, clear, set, set_system, save, load, toggle_stats;

static const struct {
    const char *name, *argument, *help; /* argument NULL: it takes none */
    command_fn *run;
} commands[] = {
    {"help", NULL, "this list", help},
    {"clear", NULL, "forget the conversation, as `clear` does", clear},
    {"system", "TEXT", "what the model is told first; without TEXT: nothing", set_system},
    {"set", "NAME=VALUE", "temperature=0.7, top_p, top_k, max_tokens, seed, …; without: show them",
     set},
    {"save", "FILE", "write the conversation as a JSON list", save},
    {"load", "FILE", "go on with a conversation that was saved", load},
    {"stats", NULL, "after each answer, how fast it came: on or off", toggle_stats},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static bool help(struct chat *chat, const char *argument, struct error *err)
{
    (void)argument;
    (void)err;
    for (int i = 0; i < N_COMMANDS; i++) {
        char left[40];
        snprintf(left, sizeof left, "/%s %s", commands[i].name,
                 commands[i].argument ? commands[i].argument : "");
        printf("  %-18s %s\n", left, commands[i].help);
    }
    printf("  %-18s %s\n", "exit", "leave; so does Ctrl-D");
    if (chat->has_editor)
        printf("Ctrl-C stops an answer. A line that ends in \\ goes on, and a paste is one "
               "message.\n");
    return true;
}

static bool clear(struct chat *chat, const char *argument, struct error *err)
{
    (void)argument;
    (void)err;
    chat_history_clear(&chat->history);
    printf("History has been removed.\n");
    return true;
}

static bool set_system(struct chat *chat, const char *argument, struct error *err)
{
    (void)err;
    chat_history_set_system(&chat->history, argument);
    printf(*argument != '\0' ? "The system message is set.\n" : "There is no system message.\n");
    return true;
}

/* NAME=VALUE, or NAME VALUE; NAME= is the default again. */
static bool set(struct chat *chat, const char *argument, struct error *err)
{
    char name[64];
    const size_t n_name = strcspn(argument, "= ");
    if (*argument == '\0') {
        options_print_sampling(stdout, chat->options);
        return true;
    }
    const char *value = argument + n_name;
    value += strspn(value, " ");
    const bool has_equals = *value == '=';
    value += has_equals;
    value += strspn(value, " ");
    if (n_name >= sizeof name || (*value == '\0' && !has_equals))
        return error_set(err, ERROR_INPUT,
                         "/set wants NAME=VALUE, as temperature=0.7, or NAME= for the default");
    snprintf(name, sizeof name, "%.*s", (int)n_name, argument);
    if (!options_change(chat->options, name, value, err))
        return false;
    printf("%s is %s\n", name, *value != '\0' ? value : "not set");
    return true;
}

static bool save(struct chat *chat, const char *argument, struct error *err)
{
    if (*argument == '\0')
        return error_set(err, ERROR_INPUT, "/save wants the name of a file");
    if (!chat_history_save(&chat->history, argument, err))
        return false;
    printf("Saved in %s.\n", argument);
    return true;
}

static bool load(struct chat *chat, const char *argument, struct error *err)
{
    size_t n;
    if (*argument == '\0')
        return error_set(err, ERROR_INPUT, "/load wants the name of a file");
    if (!chat_history_load(&chat->history, argument, &n, err))
        return false;
    printf("%zu message%s from %s.\n", n, n == 1 ? "" : "s", argument);
    return true;
}

static bool toggle_stats(struct chat *chat, const char *argument, struct error *err)
{
    (void)argument;
    (void)err;
    chat->stats = !chat->stats;
    printf("Statistics are %s.\n", chat->stats ? "on" : "off");
    return true;
}

static bool run(struct chat *chat, const char *line, struct error *err)
{
    const size_t n = strcspn(line, " \n\t");
    const char *argument = line + n + strspn(line + n, " \n\t");
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strlen(commands[i].name) != n || memcmp(commands[i].name, line, n) != 0)
            continue;
        if (commands[i].argument == NULL && *argument != '\0')
            return error_set(err, ERROR_INPUT, "/%s takes nothing", commands[i].name);
        return commands[i].run(chat, argument, err);
    }
    return error_set(err, ERROR_INPUT,
                     "no command /%.*s; /help lists them, and a space before the / makes it a "
                     "message",
                     (int)(n < 40 ? n : 40), line);
}

void chat_command(struct chat *chat, const char *line)
{
    struct error err = {0};
    const bool good = run(chat, line + 1, &err);
    fflush(stdout);
    if (!good)
        log_tell("phalanx", err.text);
}

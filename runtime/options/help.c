/* Prints the table: --help, --help=all, and docs/options.md. */
#include "runtime/options/table.h"

#include <string.h>

static const char *const usage[COMMAND_COUNT] = {
    [COMMAND_GENERATE] = "phalanx generate MODEL -p TEXT [options]",
    [COMMAND_CHAT] = "phalanx chat MODEL [options]   or   phalanx chat FILE.yaml [key=value …]",
    [COMMAND_TOKENIZE] = "phalanx tokenize MODEL < texts.jsonl",
    [COMMAND_DETOKENIZE] = "phalanx detokenize MODEL < ids.jsonl",
    [COMMAND_RENDER] = "phalanx render MODEL|FILE.jinja [options] < chats.jsonl",
    [COMMAND_DEMO] = "phalanx demo [options]",
    [COMMAND_DOCTOR] = "phalanx doctor",
    [COMMAND_PLAN] = "phalanx plan MODEL -tp N -pp N [options]",
    [COMMAND_SCORE] = "phalanx score MODEL -p TEXT [options]",
    [COMMAND_SERVE] = "phalanx serve MODEL [options]",
    [COMMAND_BATCH] = "phalanx batch MODEL -i in.jsonl -o out.jsonl [options]",
    [COMMAND_BENCH_LATENCY] = "phalanx bench latency MODEL [options]",
    [COMMAND_BENCH_THROUGHPUT] = "phalanx bench throughput MODEL [options]",
    [COMMAND_BENCH_SERVE] = "phalanx bench serve [MODEL] --base-url URL [options]",
    [COMMAND_BENCH_STARTUP] = "phalanx bench startup MODEL [options]",
    [COMMAND_LIBRARY] = "phalanx_open(MODEL, options)",
    [COMMAND_RANK] = "phalanx-rank MODEL --link PATH [options]",
};

static bool has_default(const struct option *option)
{
    return option->default_text != NULL && option->kind != OPTION_FLAG;
}

/* One that several options have belongs to the first in the table. */
static const char *alias_of(const struct option *option, enum command command)
{
    const char *alias = option->alias;
    return alias != NULL && option_find(alias, command) == option ? alias : NULL;
}

void options_print_help(FILE *out, enum command command, bool all)
{
    const char *section = "";
    int n_hidden = 0;
    if (command_summary(command) != NULL)
        fprintf(out, "%s\n\n", command_summary(command));
    fprintf(out, "  %s\n", usage[command]);
    for (int i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        if (!option_belongs(option, command))
            continue;
        if (!all && !option->basic) {
            n_hidden++;
            continue;
        }
        if (strcmp(section, option->section) != 0)
            fprintf(out, "\n%s\n", option->section);
        section = option->section;
        char left[80];
        const char *alias = alias_of(option, command);
        snprintf(left, sizeof left, "%s%s%s %s", option->name, alias ? ", " : "",
                 alias ? alias : "", option->value ? option->value : "");
        fprintf(out, "  %-32s %s", left, option->help);
        if (option->choices != NULL)
            fprintf(out, " (%s)", option->choices);
        fprintf(out, has_default(option) ? " [%s]\n" : "\n", option->default_text);
    }
    if (n_hidden > 0)
        fprintf(
            out,
            "\n%d more with --help=all. Sizes take k, m, g or KB, MB, GB (thousands), and K, M, "
            "G.\n",
            n_hidden);
}

void options_print_markdown(FILE *out)
{
    fprintf(out,
            "# Options\n\nMade by `phalanx --help=markdown` from the rows of runtime/options; a "
            "test compares the two.\n\nEvery option but --config and --help can stand in a YAML "
            "file (`--config FILE`, or the file as the first word)\nunder its name without the "
            "dashes, or under LLaMA-Factory's name, which stands below with a colon. The command "
            "line\n(options and `key=value`) wins over the file, the file over the default. Sizes "
            "take k, m, g, t or KB, MB, GB, TB (thousands),\nand K, M, G, T or KiB, MiB, GiB, TiB "
            "(1024).\n");
    const char *section = "";
    for (int i = 0; i < option_count(); i++) {
        const struct option *option = option_at(i);
        if (strcmp(section, option->section) != 0)
            fprintf(out,
                    "\n## %s\n\n| option | value | default | commands | meaning |\n"
                    "|---|---|---|---|---|\n",
                    option->section);
        section = option->section;
        fprintf(out, "| `%s`", option->name);
        if (option->alias != NULL)
            fprintf(out, " `%s`", option->alias);
        if (option->key != NULL)
            fprintf(out, " `%s:`", option->key);
        fprintf(out, " | ");
        for (const char *c = option->choices ? option->choices : option->value; c && *c; c++)
            fprintf(out, *c == '|' ? ", " : "%c", *c);
        fprintf(out, " | %s |", has_default(option) ? option->default_text : "");
        const char *comma = " ";
        for (int c = 0; c < COMMAND_COUNT; c++)
            if (option_belongs(option, (enum command)c) && c != COMMAND_RANK) {
                fprintf(out, "%s%s", comma, command_name((enum command)c));
                comma = ", ";
            }
        fprintf(out, "%s | %s |\n", strcmp(comma, " ") == 0 ? " phalanx-rank" : "", option->help);
    }
}

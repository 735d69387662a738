/* runtime/options/table.h: the rows behind options.h. Only runtime/options includes it. */
#pragma once
#include "runtime/options/options.h"

#include <stddef.h>

struct bytes;

enum option_kind {
    OPTION_FLAG,   /* bool; --name, or --no-name */
    OPTION_INT,    /* int64_t in [min, max]; takes k, K, m, M, g, G (k = 1000, K = 1024) */
    OPTION_NUMBER, /* double in [min, max]; "inf" where max is */
    OPTION_TEXT,   /* const char *; `choices` restricts it */
    OPTION_LIST,   /* struct option_list; may be repeated */
};

struct option {
    const char *name, *alias; /* "--tensor-parallel-size", "-tp"; alias may be NULL */
    const char *key;          /* another key in files (LLaMA-Factory's name), or NULL */
    enum option_kind kind;
    size_t offset;            /* in struct options */
    const char *value;        /* what the help calls the value; NULL for flags */
    const char *default_text; /* parsed like a given value; "" leaves zero */
    double min, max;
    const char *choices; /* "auto|shm|mpi" or NULL */
    unsigned commands;   /* bits of enum command */
    bool many;           /* OPTION_LIST: words that follow it belong to it, until an option */
    bool basic;          /* shown by --help without =all */
    const char *section, *help;
};

/* The rows by number, in the order of the help. */
int option_count(void);
const struct option *option_at(int number);     /* in [0, option_count()) */
int option_number(const struct option *option); /* of one of them */

bool option_is_given(const struct options *options, const struct option *option);
void option_mark_given(struct options *options, const struct option *option);
/* Its default, and nobody has given it. */
void option_reset(struct options *options, const struct option *option);

/* Sets one value from text. `where` names the option for messages: "--seed", "f.yaml:3: seed". */
bool option_set(struct options *out, const struct option *option, const char *where,
                const char *text, struct error *err);
void option_clear(struct options *out, const struct option *option); /* zero, no items */
/* `text` lives as long as the options. */
void option_list_add(struct options *out, struct option_list *list, const char *text);
/* The value as a text that option_set() takes; items of a list with commas between. */
void option_print(struct bytes *out, const struct options *options, const struct option *option);
bool option_belongs(const struct option *option, enum command command);
const struct option *option_find(const char *name, enum command command); /* NULL: none */
/* As above, by the name that files use: without dashes, `_` and `-` alike, or its other key. */
const struct option *option_find_key(const char *key, enum command command);
/* The option of this command whose spelling is nearest, or NULL when none is near. */
const struct option *option_nearest(const char *name, enum command command);
/* Always false: `where` has the unknown `key`; names the nearest one. */
bool option_unknown_key(const char *where, const char *key, enum command command,
                        struct error *err);
/* Whether a plain YAML value is null, and so leaves an option alone. */
bool option_is_null(const char *text);
/* Whether the command line gave it, or said null: then the file does not count. */
bool option_is_settled(const struct options *options, const struct option *option);
void option_mark_null(struct options *options, const struct option *option);
/* "model" and LLaMA-Factory's "model_name_or_path": MODEL, which is no row of the table. */
bool option_is_model_key(const char *key);

/* Reads `key: value` pairs of a YAML file; what the command line gave stays. file.c */
bool options_read_file(struct options *out, const char *path, struct error *err);

/* What LLaMA-Factory's keys mean here: sets the options behind them, refuses what is not there, and
 * adds to `notes`. Called once, when all is read. options_factory.c */
bool options_apply_factory(struct options *options, struct error *err);

/* What vLLM's flags mean here, likewise. vllm.c */
bool options_apply_vllm(struct options *options, struct error *err);
/* Why the command has no option of a name that vLLM has, and what to do instead; NULL: not known.
 */
const char *option_absent(const char *name, enum command command);

/* --speculative-config and the plain options of speculation become one consistent set. Called once,
 * when all is read. options_speculation.c */
bool options_apply_speculation(struct options *options, struct error *err);

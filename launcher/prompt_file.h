/* launcher/prompt_file.h: the prompts of --prompts-file, line by line.
 *
 * Plain lines are texts. Lines of JSON (the name ends in .jsonl, or the first line begins with {)
 * are a text, a list of token ids, or an object {"prompt": text or ids} or {"prompt_token_ids":
 * ids}, with a "priority" if it likes; other keys are ignored. Blank lines are skipped. A file that
 * can be read twice is checked to its end, and counted, before its first prompt.
 */
#pragma once
#include "base/bytes.h"
#include "launcher/line_input.h"
#include "runtime/text/ids.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

struct error;

struct prompt_file {
    const char *name; /* borrowed: the path, or "standard input" */
    struct line_input input;
    struct bytes line;
    bool is_json, begun;       /* begun: a line has told whether it is JSON */
    size_t n_lines, n_prompts; /* read so far */
    size_t total;              /* prompts of the file; 0: not known before its end */
};

struct file_prompt {   /* the next one */
    struct bytes text; /* empty: given as ids */
    struct ids ids;
    bool has_priority;
    int priority;
};

/* "-" is standard input. ERROR_INPUT: no such file, no prompt in it, or a line that is wrong, with
 * its number. */
bool prompt_file_open(struct prompt_file *out, const char *path,
                      const volatile sig_atomic_t *interrupt, struct error *err);
/* Whether the next prompt is there without waiting for somebody to write it. */
bool prompt_file_is_ready(const struct prompt_file *file);
/* *got false: the end. Errors name the file and the line. */
bool prompt_file_next(struct prompt_file *file, struct file_prompt *out, bool *got,
                      struct error *err);
void prompt_file_close(struct prompt_file *file); /* all zero is fine */
void file_prompt_release(struct file_prompt *prompt);

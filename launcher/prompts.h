/* launcher/prompts.h: the prompts of a command: -p, then --prompt-ids, then --prompts-file.
 *
 * Those of the command line are there at once, and one that is wrong is the error of the command.
 * Those of the file come one by one; one that the model cannot take (too long, say) is answered
 * with its error, and the others with their answers.
 */
#pragma once
#include "launcher/prompt_file.h"

struct generation;
struct options;
struct session;

struct prompts {
    const struct options *options;
    struct session *session;
    struct generation *generation;
    struct bytes input; /* of -p - */
    struct prompt_file file;
    struct file_prompt next;
};

/* Reads what must be read before anything is started. ERROR_INPUT: no prompt, no such file. */
bool prompts_open(struct prompts *out, const struct options *options,
                  const volatile sig_atomic_t *interrupt, struct error *err);
/* Adds those of the command line. From here on prompts_next() adds those of the file. */
bool prompts_begin(struct prompts *prompts, struct session *session, struct generation *generation,
                   struct error *err);
/* As `next` of struct generation_hooks. */
bool prompts_next(struct prompts *prompts, bool *more, struct error *err);
/* How many there are in all; 0: not known yet. */
size_t prompts_total(const struct prompts *prompts);
void prompts_close(struct prompts *prompts);

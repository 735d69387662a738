/* launcher/bench/dataset.h: prompts of a file, for a load. The names are those of vLLM's bench.
 *
 *   custom    a prompt a line: launcher/prompt_file.h says which forms
 *   sharegpt  one JSON list of {"conversations": [{"value": text}, …]}: the first word of each
 *             conversation that has an answer, too
 */
#pragma once
#include "runtime/text/ids.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

struct error;

struct dataset_prompt {
    char *text; /* NULL: ids */
    struct ids ids;
};

struct dataset { /* all zero: empty */
    struct dataset_prompt *prompt;
    size_t n;
};

/* The first prompts, at most `max`. `is_chat`: token ids are refused. ERROR_INPUT: no such file,
 * no prompt in it, or what is wrong and where. dataset_release() also after a failure. */
bool dataset_read_custom(struct dataset *out, const char *path, size_t max, bool is_chat,
                         const volatile sig_atomic_t *interrupt, struct error *err);
bool dataset_read_sharegpt(struct dataset *out, const char *path, size_t max,
                           const volatile sig_atomic_t *interrupt, struct error *err);
void dataset_release(struct dataset *dataset);

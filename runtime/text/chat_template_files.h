/* runtime/text/chat_template_files.h: the sources of chat templates, as checkpoints store them.
 *
 * Reads what chat_template.h lists, in its order, and the special tokens by name: of
 * tokenizer_config.json, and of special_tokens_map.json where the former has no
 * added_tokens_decoder, as transformers does. Of a JSON file only the keys that are wanted are
 * parsed: others hold numbers that fit no machine.
 *
 * Every file has a limit, and so has their number. Errors are ERROR_INPUT and name the file.
 */
#pragma once
#include "base/memory.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct error;

struct template_source {
    const char *name;  /* "default" for the one that has none */
    const char *where; /* the file, for messages */
    const char *text;
    size_t n_bytes;
};

enum { TEMPLATE_FILES_MAX = 64 };

struct template_files { /* texts live in the arena */
    struct template_source item[TEMPLATE_FILES_MAX];
    int n;
    json_t *special_tokens; /* object: name -> text, or list of texts */
    struct arena arena;
};

/* As chat_template_open(). Release `out` also after a failure. */
bool template_files_read(struct template_files *out, const char *model_folder, const char *file,
                         struct error *err);
void template_files_release(struct template_files *files);

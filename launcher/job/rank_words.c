#include "launcher/job/rank_words.h"

#include "base/error.h"
#include "base/memory.h"
#include "launcher/model_path.h"
#include "runtime/options/options.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *copy(struct arena *arena, const char *text)
{
    return arena_copy_text(arena, text, strlen(text));
}

static bool find_program(char program[MODEL_PATH_BYTES], struct error *err)
{
    if (!program_folder(program, err))
        return false;
    const size_t used = strlen(program);
    snprintf(program + used, MODEL_PATH_BYTES - used, "/phalanx-rank");
    return access(program, X_OK) == 0 ||
           error_set(err, ERROR_INPUT, "%s is missing: it belongs beside this program", program);
}

bool rank_words(char *word[RANK_WORDS_MAX], int *n, const struct options *options,
                const char *model_folder, const char *link, int replica, struct arena *arena,
                struct error *err)
{
    char program[MODEL_PATH_BYTES], folder[PATH_MAX], number[16];
    *n = 0;
    if (!find_program(program, err))
        return false;
    const bool resolved = realpath(model_folder, folder) != NULL;
    word[(*n)++] = copy(arena, program);
    word[(*n)++] = copy(arena, resolved ? folder : model_folder);
    if (link != NULL) {
        word[(*n)++] = "--link";
        word[(*n)++] = copy(arena, link);
    }
    if (replica > 0) {
        snprintf(number, sizeof number, "%d", replica);
        word[(*n)++] = "--replica";
        word[(*n)++] = copy(arena, number);
    }
    *n += options_for_rank(options, arena, word + *n, RANK_WORDS_MAX - 1 - *n);
    word[*n] = NULL;
    return true;
}

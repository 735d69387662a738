#include "launcher/job/rank_words.h"

#include "base/error.h"
#include "base/memory.h"
#include "launcher/model_path.h"
#include "runtime/options/options.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *copy(struct arena *arena, const char *text)
{
    return arena_copy_text(arena, text, strlen(text));
}

/* In another's program: what PHALANX_RANK says, or what was installed or built with libphalanx. */
static bool find_by_library(char program[MODEL_PATH_BYTES], const char *library, struct error *err)
{
    static const char *const places[] = {PROGRAMS_FROM_LIBRARY "/", ""};
    const char *said = getenv("PHALANX_RANK");
    const int n_folder = (int)(strrchr(library, '/') - library);
    if (said != NULL && *said != '\0') {
        snprintf(program, MODEL_PATH_BYTES, "%s", said);
        return access(program, X_OK) == 0 ||
               error_set(err, ERROR_INPUT, "PHALANX_RANK: %s: no such program", said);
    }
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(program, MODEL_PATH_BYTES, "%.*s/%sphalanx-rank", n_folder, library, places[i]);
        if (access(program, X_OK) == 0)
            return true;
    }
    return error_set(err, ERROR_INPUT,
                     "phalanx-rank is neither in %.*s/" PROGRAMS_FROM_LIBRARY
                     " nor beside libphalanx: set PHALANX_RANK to its path",
                     n_folder, library);
}

/* The file that this function is in, where it is a library; NULL: it is the program. */
static char *own_library(struct arena *arena)
{
    Dl_info info;
    char file[PATH_MAX], program[PATH_MAX];
    static const char here; /* an address of ours */
    const bool known = dladdr(&here, &info) != 0 && realpath(info.dli_fname, file) != NULL &&
                       realpath("/proc/self/exe", program) != NULL;
    return known && strcmp(file, program) != 0 ? copy(arena, file) : NULL;
}

static bool find_program(char program[MODEL_PATH_BYTES], struct arena *arena, struct error *err)
{
    const char *library = own_library(arena);
    if (library != NULL)
        return find_by_library(program, library, err);
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
    if (!find_program(program, arena, err))
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

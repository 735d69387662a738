/* Layout of the cache: hub/models--ORG--NAME/{refs/main, snapshots/REVISION/…}, as written by
 * huggingface_hub (its documentation, "Understand caching"). */
#include "launcher/model_path.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "runtime/options/options.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static bool cache_folder(char *out)
{
    const char *home = getenv("HF_HOME");
    if (home != NULL && *home != '\0')
        return snprintf(out, MODEL_PATH_BYTES, "%s/hub", home) < MODEL_PATH_BYTES;
    home = getenv("HOME");
    return home != NULL &&
           snprintf(out, MODEL_PATH_BYTES, "%s/.cache/huggingface/hub", home) < MODEL_PATH_BYTES;
}

/* models--ORG--NAME; false for what cannot be a name there. */
static bool cache_entry(char *out, size_t n_bytes, const char *model)
{
    if (strstr(model, "..") != NULL || model[0] == '/' || strlen(model) > 200)
        return false;
    size_t used = (size_t)snprintf(out, n_bytes, "models--");
    for (const char *c = model; *c != '\0'; c++)
        used += (size_t)snprintf(out + used, n_bytes - used, *c == '/' ? "--" : "%c", *c);
    return true;
}

static bool find_folder(char *out, const char *model, struct error *err)
{
    if (*model == '\0')
        return error_set(err, ERROR_INPUT, "MODEL is empty: give the folder of a checkpoint");
    if (is_folder(model)) {
        const char *here = *model == '-' ? "./" : ""; /* or the ranks would take it for an option */
        if (snprintf(out, MODEL_PATH_BYTES, "%s%s", here, model) >= MODEL_PATH_BYTES)
            return error_set(err, ERROR_INPUT, "the path of the model is too long");
        return true;
    }
    struct stat info;
    if (stat(model, &info) == 0)
        return error_set(err, ERROR_INPUT,
                         "%s is a file: MODEL is the folder that holds config.json", model);
    char cache[MODEL_PATH_BYTES] = "", entry[512], path[2 * MODEL_PATH_BYTES];
    if (!cache_folder(cache) || !cache_entry(entry, sizeof entry, model))
        return error_set(err, ERROR_INPUT, "%s: no such folder", model);
    snprintf(path, sizeof path, "%s/%s/refs/main", cache, entry);
    char *revision;
    size_t n;
    struct error no_ref = {0};
    if (!file_read(&revision, &n, path, 256, &no_ref))
        return error_set(err, ERROR_INPUT,
                         "%s: no such folder, and not in %s (nothing is downloaded)", model, cache);
    revision[strcspn(revision, "\r\n")] = '\0';
    const int length =
        snprintf(out, MODEL_PATH_BYTES, "%s/%s/snapshots/%s", cache, entry, revision);
    memory_free(revision);
    if (length >= MODEL_PATH_BYTES || !is_folder(out))
        return error_set(err, ERROR_INPUT, "%s: the cache in %s has no snapshot of it", model,
                         cache);
    return true;
}

bool model_path_find(char *out, const char *model, const char *needs, struct error *err)
{
    char path[MODEL_PATH_BYTES + 32];
    if (!find_folder(out, model, err))
        return false;
    snprintf(path, sizeof path, "%s/%s", out, needs);
    return file_exists(path) || error_set(err, ERROR_INPUT,
                                          "%s is missing: MODEL is the folder of a Hugging Face "
                                          "checkpoint",
                                          path);
}

bool model_path_find_draft(struct options *options, struct error *err)
{
    char folder[MODEL_PATH_BYTES];
    if (options->speculative_method == NULL ||
        strcmp(options->speculative_method, "draft_model") != 0)
        return true;
    if (!model_path_find(folder, options->speculative_model, "config.json", err))
        return error_in(err, "--speculative-model");
    char absolute[PATH_MAX]; /* a rank may begin in another folder */
    const char *found = realpath(folder, absolute) != NULL ? absolute : folder;
    options->speculative_model = arena_copy_text(&options->arena, found, strlen(found));
    return true;
}

bool program_folder(char *out, struct error *err)
{
    const ssize_t n = readlink("/proc/self/exe", out, MODEL_PATH_BYTES - 1);
    if (n <= 0)
        return error_errno(err, "cannot find this program's own folder");
    out[n] = '\0';
    *strrchr(out, '/') = '\0';
    return true;
}

bool model_path_demo(char *out, struct error *err)
{
    char here[MODEL_PATH_BYTES];
    if (!program_folder(here, err))
        return false;
    static const char *const places[] = {"%s/../share/phalanx/demo/model",
                                         DEMO_FOLDER "/model%.0s"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const int n = snprintf(out, MODEL_PATH_BYTES, places[i], here);
        if (n < MODEL_PATH_BYTES && is_folder(out))
            return true;
    }
    return error_set(err, ERROR_INPUT,
                     "the demo model is neither in %s/../share/phalanx/demo nor in %s", here,
                     DEMO_FOLDER);
}

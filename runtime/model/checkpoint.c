/* Which files make a checkpoint. The index names files only; a path in it would let a checkpoint
 * read what lies elsewhere, so a name with a slash is refused, and the dots with it. */
#include "runtime/model/checkpoint.h"

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char single_name[] = "model.safetensors";
static const char index_name[] = "model.safetensors.index.json";
static const char value_head_name[] = "value_head.safetensors";

static bool make_path(char path[PATH_MAX], const char *folder, const char *name, struct error *err)
{
    return snprintf(path, PATH_MAX, "%s/%s", folder, name) < PATH_MAX ||
           error_set(err, ERROR_INPUT, "%.100s...: path too long", folder);
}

static bool open_file(struct checkpoint *checkpoint, const char *folder, const char *name,
                      struct error *err)
{
    char path[PATH_MAX];
    struct safetensors *file = &checkpoint->file[checkpoint->n_files++];
    if (!make_path(path, folder, name, err) || !safetensors_open(file, path, err))
        return false;
    checkpoint->n_tensors += file->n_tensors;
    return checkpoint->n_tensors <= CHECKPOINT_MAX_TENSORS ||
           error_set(err, ERROR_INPUT, "%s: more than %d tensors in all files up to this one", path,
                     CHECKPOINT_MAX_TENSORS);
}

static bool file_name_is_plain(const char *name)
{
    return name != NULL && name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL &&
           strchr(name, '\\') == NULL && strlen(name) <= NAME_MAX;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of the files of weight_map, each once; their number, or -1. */
static int list_files(const char **names, const json_t *weight_map, struct error *err)
{
    int n = 0;
    const char *tensor;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)weight_map, tensor, value)
    {
        const char *name = json_string_value(value);
        if (!file_name_is_plain(name)) {
            error_set(err, ERROR_INPUT,
                      "\"weight_map\": tensor %.80s is in \"%.80s\", want the name of a file in "
                      "the same folder",
                      tensor, name ? name : "(no text)");
            return -1;
        }
        names[n++] = name;
    }
    if (n > 0)
        qsort(names, (size_t)n, sizeof *names, by_text);
    int n_unique = 0;
    for (int i = 0; i < n; i++) {
        if (i == 0 || strcmp(names[i], names[i - 1]) != 0)
            names[n_unique++] = names[i];
    }
    return n_unique;
}

/* Every tensor of the index is in the file it names. */
static bool check_index(const struct checkpoint *checkpoint, const json_t *weight_map,
                        struct error *err)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)weight_map, name, value)
    {
        const struct tensor *tensor = checkpoint_find(checkpoint, name);
        const char *file = json_string_value(value);
        const char *slash = tensor ? strrchr(tensor->file->path, '/') : NULL;
        if (tensor == NULL || strcmp(slash + 1, file) != 0)
            return error_set(err, ERROR_INPUT, "\"weight_map\": tensor %.80s is not in %s", name,
                             file);
    }
    return true;
}

static bool open_files(struct checkpoint *checkpoint, const char *folder, const json_t *index,
                       struct error *err)
{
    const json_t *weight_map = json_object_get(index, "weight_map");
    const size_t n_tensors = json_object_size(weight_map);
    if (n_tensors == 0)
        return error_set(err, ERROR_INPUT, "\"weight_map\" is missing or empty");
    const char **names = memory_alloc(n_tensors, sizeof *names);
    const int n_files = list_files(names, weight_map, err);
    bool ok = n_files >= 0;
    if (ok && n_files > CHECKPOINT_MAX_FILES)
        ok = error_set(err, ERROR_INPUT, "\"weight_map\" names %d files, want at most %d", n_files,
                       CHECKPOINT_MAX_FILES);
    if (ok)
        checkpoint->file = memory_alloc((size_t)n_files + 1, sizeof *checkpoint->file);
    for (int i = 0; ok && i < n_files; i++)
        ok = open_file(checkpoint, folder, names[i], err);
    memory_free(names);
    return ok && check_index(checkpoint, weight_map, err);
}

static bool open_index(struct checkpoint *checkpoint, const char *folder, const char *path,
                       struct error *err)
{
    static const struct json_limits limits = {
        .max_bytes = SAFETENSORS_MAX_HEADER, .max_depth = 8, .max_values = SAFETENSORS_MAX_VALUES};
    json_t *index;
    if (!json_read_file(&index, path, &limits, err))
        return false;
    const bool ok = open_files(checkpoint, folder, index, err) || error_in(err, "%s", path);
    json_decref(index);
    return ok;
}

static bool refuse_folder(const char *folder, struct error *err)
{
    static const char *const pickles[] = {"pytorch_model.bin", "pytorch_model.bin.index.json",
                                          "consolidated.00.pth"};
    char path[PATH_MAX];
    if (!file_exists(folder))
        return error_set(err, ERROR_INPUT, "%s: no such folder", folder);
    for (size_t i = 0; i < sizeof pickles / sizeof *pickles; i++) {
        if (snprintf(path, sizeof path, "%s/%s", folder, pickles[i]) < PATH_MAX &&
            file_exists(path))
            return error_set(err, ERROR_UNSUPPORTED,
                             "%s: a pickle, which can run code when it is read, so it is not; "
                             "convert it where you trust it: python3 -c \"from transformers import "
                             "AutoModelForCausalLM as M; "
                             "M.from_pretrained('IN', dtype='auto').save_pretrained('OUT')\"",
                             path);
    }
    return error_set(err, ERROR_INPUT, "%s: no %s and no %s", folder, single_name, index_name);
}

static bool open_model(struct checkpoint *out, const char *folder, struct error *err)
{
    char path[PATH_MAX];
    if (!make_path(path, folder, single_name, err))
        return false;
    if (file_exists(path)) {
        out->path = memory_copy_text(path);
        out->file = memory_alloc(2, sizeof *out->file);
        return open_file(out, folder, single_name, err);
    }
    if (!make_path(path, folder, index_name, err))
        return false;
    if (file_exists(path)) {
        out->path = memory_copy_text(path);
        return open_index(out, folder, path, err);
    }
    return refuse_folder(folder, err);
}

bool checkpoint_open(struct checkpoint *out, const char *folder, struct error *err)
{
    *out = (struct checkpoint){0};
    char path[PATH_MAX];
    if (!open_model(out, folder, err) || !make_path(path, folder, value_head_name, err))
        return false;
    return !file_exists(path) || open_file(out, folder, value_head_name, err);
}

void checkpoint_close(struct checkpoint *checkpoint)
{
    for (int i = 0; i < checkpoint->n_files; i++)
        safetensors_close(&checkpoint->file[i]);
    memory_free(checkpoint->file);
    memory_free(checkpoint->path);
    *checkpoint = (struct checkpoint){0};
}

const struct tensor *checkpoint_find(const struct checkpoint *checkpoint, const char *name)
{
    for (int i = 0; i < checkpoint->n_files; i++) {
        const struct tensor *tensor = safetensors_find(&checkpoint->file[i], name);
        if (tensor != NULL)
            return tensor;
    }
    return NULL;
}

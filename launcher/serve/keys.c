#include "launcher/serve/keys.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "runtime/options/options.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

enum { KEY_LEAST = 8, KEY_BYTES = 256, MAX_KEYS = 4096, MAX_FILE_BYTES = 1 << 20 };

struct key {
    char text[KEY_BYTES]; /* zero behind its end */
};

struct keys {
    const struct options *options;
    struct key *key;
    int n, capacity;
};

static bool add(struct keys *keys, const char *text, size_t n, struct error *err)
{
    for (size_t i = 0; i < n; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return error_set(err, ERROR_INPUT, "a character that no key can have");
    if (n < KEY_LEAST || n >= KEY_BYTES)
        return error_set(err, ERROR_INPUT, "a key of %zu characters; keys have %d to %d", n,
                         KEY_LEAST, KEY_BYTES - 1);
    if (keys->n == MAX_KEYS)
        return error_set(err, ERROR_INPUT, "more than %d keys", MAX_KEYS);
    if (keys->n == keys->capacity) {
        keys->capacity = 2 * keys->capacity + 1;
        keys->key = memory_resize(keys->key, (size_t)keys->capacity, sizeof *keys->key);
    }
    keys->key[keys->n] = (struct key){0};
    memcpy(keys->key[keys->n++].text, text, n);
    return true;
}

static bool add_line(struct keys *keys, const char *line, size_t n, struct error *err)
{
    while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\t' || line[n - 1] == '\r'))
        n--;
    if (n == 0 || *line == '#')
        return true;
    size_t begin = n; /* what a line ends with is the key: a name may come before */
    while (begin > 0 && line[begin - 1] != ' ' && line[begin - 1] != '\t')
        begin--;
    return add(keys, line + begin, n - begin, err);
}

static bool read_file(struct keys *keys, const char *path, struct error *err)
{
    char *text;
    size_t n_bytes;
    bool good = true;
    if (!file_read(&text, &n_bytes, path, MAX_FILE_BYTES, err))
        return false;
    const char *line = text;
    for (int number = 1; good && line < text + n_bytes; number++) {
        const char *end = memchr(line, '\n', (size_t)(text + n_bytes - line));
        end = end != NULL ? end : text + n_bytes;
        good = add_line(keys, line, (size_t)(end - line), err) ||
               error_in(err, "%s: line %d", path, number);
        line = end + 1;
    }
    memory_free(text);
    return good;
}

static bool read_all(struct keys *keys, struct error *err)
{
    const struct options *options = keys->options;
    const struct option_list *list = &options->serve.api_key;
    const char *environment = getenv("PHALANX_API_KEY");
    for (int i = 0; i < list->n; i++)
        if (!add(keys, list->item[i], strlen(list->item[i]), err))
            return error_in(err, "--api-key: key %d", i + 1);
    if (environment != NULL && *environment != '\0' &&
        !add(keys, environment, strlen(environment), err))
        return error_in(err, "PHALANX_API_KEY");
    if (options->serve.api_key_file == NULL)
        return true;
    const int n_before = keys->n;
    return read_file(keys, options->serve.api_key_file, err) &&
           (keys->n > n_before ||
            error_set(err, ERROR_INPUT, "%s: there is no key in it", options->serve.api_key_file));
}

bool keys_open(struct keys **out, const struct options *options, struct error *err)
{
    struct keys *keys = memory_alloc(1, sizeof *keys);
    keys->options = options;
    *out = keys;
    return read_all(keys, err);
}

void keys_close(struct keys *keys)
{
    if (keys == NULL)
        return;
    memory_free(keys->key);
    memory_free(keys);
}

bool keys_reload(struct keys *keys, struct error *err)
{
    struct keys now = {.options = keys->options};
    if (!read_all(&now, err)) {
        memory_free(now.key);
        return false;
    }
    memory_free(keys->key);
    *keys = now;
    return true;
}

int keys_count(const struct keys *keys) { return keys->n; }

/* All bytes of all keys are looked at, whatever is equal. */
static int find(const struct keys *keys, const struct key *shown)
{
    int found = -1;
    for (int i = 0; i < keys->n; i++) {
        unsigned difference = 0;
        for (int k = 0; k < KEY_BYTES; k++)
            difference |= (unsigned)(keys->key[i].text[k] ^ shown->text[k]);
        found = difference == 0 ? i : found;
    }
    return found;
}

bool keys_allow(const struct keys *keys, const char *authorization, uint64_t *tenant)
{
    static const char scheme[] = "Bearer ";
    struct key shown = {0};
    *tenant = 0;
    if (keys->n == 0)
        return true;
    if (authorization == NULL || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0)
        return false;
    const char *text = authorization + sizeof scheme - 1;
    const size_t n = strlen(text);
    if (n >= KEY_BYTES)
        return false;
    memcpy(shown.text, text, n);
    const int at = find(keys, &shown);
    if (at < 0)
        return false;
    *tenant = XXH3_64bits(shown.text, n) | 1;
    return true;
}

/* Reads the file in one go: the skim finds the two large values, base/json.h reads the rest, and
 * each stage reads its own part of that. */
#include "runtime/text/tokenizer.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/system.h"
#include "runtime/text/file/json_skim.h"
#include "runtime/text/tokenizer_parts.h"

enum {
    /* The largest in use has 33 MB (Gemma 3). At every limit at once there come 24 MB of vocabulary
     * to it, 20 MB of merges and 12 MB of the rest: less than 100 MB. */
    MAX_FILE_BYTES = 40 << 20,
    MAX_REST_BYTES = 4 << 20, /* without vocabulary and merges: 6,415 added tokens have 1.3 MB */
    MAX_REST_DEPTH = 32,
    MAX_REST_VALUES = 1 << 17, /* an added token has 15, keys included */
};

static bool parse_stages(struct tokenizer *t, const json_t *root, struct error *err)
{
    if (!normalizer_parse(&t->normalizer, json_object_get(root, "normalizer"), err))
        return error_in(err, "\"normalizer\"");
    if (!added_tokens_parse(&t->added, &t->vocabulary, &t->normalizer,
                            json_object_get(root, "added_tokens"), err))
        return false; /* names its key already */
    if (!pre_tokenizer_parse(&t->pre_tokenizer, json_object_get(root, "pre_tokenizer"), err))
        return error_in(err, "\"pre_tokenizer\"");
    if (!post_processor_parse(&t->post_processor, json_object_get(root, "post_processor"),
                              t->vocabulary.n_ids, err))
        return error_in(err, "\"post_processor\"");
    if (!decoder_parse(&t->decoder, json_object_get(root, "decoder"), err))
        return error_in(err, "\"decoder\"");
    return true;
}

static bool parse_file(struct tokenizer *t, const char *text, size_t n_bytes, struct error *err)
{
    static const struct json_limits limits = {MAX_REST_BYTES, MAX_REST_DEPTH, MAX_REST_VALUES};
    struct json_skim skim;
    json_t *root = NULL;
    bool ok = json_skim(&skim, text, n_bytes, err) &&
              json_parse(&root, skim.rest.data, skim.rest.len, &limits, err);
    if (ok &&
        !model_parse(&t->model, &t->vocabulary, json_object_get(root, "model"), text, &skim, err))
        ok = error_in(err, "\"model\"");
    ok = ok && parse_stages(t, root, err);
    json_decref(root);
    bytes_release(&skim.rest);
    return ok;
}

static void measure(struct tokenizer *t)
{
    t->longest = 1;
    for (int32_t id = 0; id < t->vocabulary.n_ids; id++) {
        size_t n_bytes = 0;
        if (vocabulary_text(&t->vocabulary, id, &n_bytes) != NULL && n_bytes > t->longest)
            t->longest = n_bytes;
    }
}

bool tokenizer_open(struct tokenizer **out, const char *path, struct error *err)
{
    char *text;
    size_t n_bytes;
    if (!file_read(&text, &n_bytes, path, MAX_FILE_BYTES, err))
        return false; /* names the file already */
    struct tokenizer *t = memory_alloc(1, sizeof *t);
    const bool ok = parse_file(t, text, n_bytes, err);
    memory_free(text);
    if (!ok) {
        tokenizer_close(t);
        return error_in(err, "%s", path);
    }
    measure(t);
    *out = t;
    return true;
}

void tokenizer_close(struct tokenizer *t)
{
    if (t == NULL)
        return;
    added_tokens_release(&t->added);
    pre_tokenizer_release(&t->pre_tokenizer);
    model_release(&t->model);
    vocabulary_release(&t->vocabulary);
    post_processor_release(&t->post_processor);
    decoder_release(&t->decoder);
    normalizer_release(&t->normalizer);
    memory_free(t);
}

int32_t tokenizer_vocab(const struct tokenizer *t) { return t->vocabulary.n_ids; }

int32_t tokenizer_find(const struct tokenizer *t, const char *token, size_t n_bytes)
{
    const struct added_token *added = added_tokens_find(&t->added, token, n_bytes);
    return added ? added->id : vocabulary_find(&t->vocabulary, token, n_bytes);
}

const char *tokenizer_token(const struct tokenizer *t, int32_t id, size_t *n_bytes)
{
    return vocabulary_text(&t->vocabulary, id, n_bytes);
}

size_t tokenizer_longest(const struct tokenizer *t) { return t->longest; }

struct tokenizer_frame tokenizer_frame(const struct tokenizer *t)
{
    static const struct ids nothing;
    return (struct tokenizer_frame){&t->post_processor.before, &nothing, &t->post_processor.after};
}

bool tokenizer_pair_frame(const struct tokenizer *t, struct tokenizer_frame *out)
{
    const struct post_processor *p = &t->post_processor;
    *out = (struct tokenizer_frame){&p->pair_before, &p->pair_between, &p->pair_after};
    return !p->no_pairs;
}

bool tokenizer_is_special(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->vocabulary.n_ids && t->vocabulary.tokens[id].special;
}

bool tokenizer_is_skipped(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->vocabulary.n_ids && t->vocabulary.tokens[id].skipped;
}

#include "runtime/gateway/intake.h"

#include "base/error.h"
#include "runtime/jinja/jinja.h"
#include "runtime/request/request.h"
#include "runtime/text/encoder.h"
#include "runtime/text/tokenizer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool intake_open(struct intake *out, const char *model_folder, struct error *err)
{
    char path[4096];
    *out = (struct intake){0};
    if (snprintf(path, sizeof path, "%s/tokenizer.json", model_folder) >= (int)sizeof path)
        return error_set(err, ERROR_INPUT, "the path of the model is too long");
    if (!tokenizer_open(&out->tokenizer, path, err))
        return false;
    out->encoder = encoder_create(out->tokenizer);
    return true;
}

void intake_close(struct intake *intake)
{
    encoder_destroy(intake->encoder);
    tokenizer_close(intake->tokenizer);
    *intake = (struct intake){0};
}

static bool encode(struct intake *intake, const char *text, size_t n_bytes,
                   const struct encode_options *options, struct ids *out, struct error *err)
{
    ids_clear(out);
    if (!encoder_encode(intake->encoder, text, n_bytes, options, out, err))
        return error_in(err, "prompt");
    return out->n > 0 || error_set(err, ERROR_INPUT, "prompt: no tokens; give some text");
}

bool intake_text(struct intake *intake, const char *text, size_t n_bytes, struct ids *out,
                 struct error *err)
{
    static const struct encode_options options = {.add_special_tokens = true,
                                                  .special_as_text = true};
    return encode(intake, text, n_bytes, &options, out, err);
}

bool intake_chat(struct intake *intake, const struct jinja_output *prompt, bool add_special_tokens,
                 struct ids *out, struct error *err)
{
    const struct encode_options options = {.add_special_tokens = add_special_tokens,
                                           .plain = prompt->users,
                                           .n_plain = prompt->n_users};
    const char *text = prompt->text.len > 0 ? prompt->text.data : "";
    return encode(intake, text, prompt->text.len, &options, out, err);
}

bool intake_ids(const char *text, int vocab, struct ids *out, struct error *err)
{
    const char *c = text;
    const bool bracket = *c == '[';
    c += bracket;
    ids_clear(out);
    for (;;) {
        char *end;
        errno = 0;
        const long long id = strtoll(c, &end, 10);
        if (end == c)
            return error_set(err, ERROR_INPUT, "no number at '%.20s'", c);
        if (errno != 0 || id < 0 || id >= vocab)
            return error_set(err, ERROR_INPUT, "%.*s is no token of this model (0 .. %d)",
                             (int)(end - c), c, vocab - 1);
        ids_add(out, (int32_t)id);
        c = end + strspn(end, " ");
        if (*c == '\0' && !bracket)
            return true;
        if (*c == ']' && bracket && c[1] == '\0')
            return true;
        if (*c != ',')
            return error_set(err, ERROR_INPUT, "want 1,2,3, not '%.20s'", c);
        c++;
    }
}

/* Adds the tokens of a word, begun after a space or not. */
static bool add_bad_word(struct intake *intake, const char *word, bool after_space, struct ids *id,
                         struct ids *end, struct error *err)
{
    static const struct encode_options options = {.special_as_text = true};
    const size_t before = id->n;
    struct bytes text = {0};
    bytes_printf(&text, "%s%s", after_space ? " " : "", word);
    const bool good = encoder_encode(intake->encoder, text.data, text.len, &options, id, err);
    bytes_release(&text);
    if (!good && after_space) { /* a vocabulary without spaces has no such word */
        *err = (struct error){0};
        return true;
    }
    if (!good || id->n == before)
        return good;
    if (after_space && end->n > 0) { /* the same word without a space is the one before */
        const size_t last = before - (end->n > 1 ? (size_t)end->data[end->n - 2] : 0);
        if (id->n - before != last || id->data[before] == id->data[before - last]) {
            id->n = before;
            return true;
        }
    }
    ids_add(end, (int32_t)id->n);
    return true;
}

bool intake_bad_words(struct intake *intake, const char *const *word, int n_words, struct ids *id,
                      struct ids *end, struct error *err)
{
    ids_clear(id);
    ids_clear(end);
    for (int i = 0; i < n_words; i++) {
        const char *begin = word[i] + strspn(word[i], " \t\r\n");
        const size_t n_ends = end->n;
        if (*begin == '\0')
            return error_set(err, ERROR_INPUT, "an empty word");
        if (!add_bad_word(intake, begin, false, id, end, err) ||
            (end->n > n_ends && !add_bad_word(intake, begin, true, id, end, err)))
            return error_in(err, "word %d", i + 1);
        if (end->n > PARAMS_MAX_BAD_WORDS || id->n > PARAMS_MAX_BAD_IDS)
            return error_set(err, ERROR_INPUT,
                             "too many: at most %d with %d tokens, each word with and without a "
                             "space before it",
                             PARAMS_MAX_BAD_WORDS, PARAMS_MAX_BAD_IDS);
    }
    return true;
}

bool intake_cache_key(const char *salt, struct bytes *out, struct error *err)
{
    static const char name[] = "cache_salt=";
    bytes_clear(out);
    if (salt == NULL)
        return true;
    const size_t n_salt = strlen(salt);
    if (n_salt == 0)
        return error_set(err, ERROR_INPUT, "an empty salt");
    if (n_salt > REQUEST_MAX_CACHE_KEY - sizeof name)
        return error_set(err, ERROR_INPUT, "%zu bytes, at most %zu", n_salt,
                         REQUEST_MAX_CACHE_KEY - sizeof name);
    bytes_add(out, name, sizeof name - 1);
    bytes_add(out, salt, n_salt);
    return true;
}

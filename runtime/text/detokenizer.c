#include "runtime/text/detokenizer.h"

#include "runtime/text/tokenizer_parts.h"

void detokenizer_init(struct detokenizer *d, const struct tokenizer *t, bool skip_special_tokens)
{
    *d = (struct detokenizer){.tokenizer = t, .skip_special_tokens = skip_special_tokens};
}

void detokenizer_release(struct detokenizer *d)
{
    bytes_release(&d->run);
    bytes_release(&d->token);
}

/* Text of the stream, from which the begin may have to be stripped. */
static bool emit(struct detokenizer *d, const char *text, size_t n_bytes, struct bytes *out)
{
    size_t at = 0;
    while (at < n_bytes && d->n_strip > 0) {
        if (text[at] != d->tokenizer->decoder.strip) {
            d->n_strip = 0;
            break;
        }
        d->n_strip--;
        at++;
    }
    return utf8_stream_add(&d->pending, text + at, n_bytes - at, out);
}

static bool end_run(struct detokenizer *d, struct bytes *out)
{
    static const char replacement[] = "\xEF\xBF\xBD"; /* U+FFFD */
    const size_t n_run = d->run.len;
    bool ok = true;
    if (n_run == 0)
        return true;
    if (utf8_valid_bytes(d->run.data, n_run) == n_run)
        ok = emit(d, d->run.data, n_run, out);
    else
        for (size_t i = 0; ok && i < n_run; i++)
            ok = emit(d, replacement, sizeof replacement - 1, out);
    bytes_clear(&d->run);
    return ok;
}

bool detokenizer_add(struct detokenizer *d, int32_t id, struct bytes *out)
{
    const struct tokenizer *t = d->tokenizer;
    size_t n_bytes;
    const char *token = tokenizer_token(t, id, &n_bytes);
    if (token == NULL || (d->skip_special_tokens && tokenizer_is_special(t, id)))
        return true;
    if (!d->started)
        d->n_strip = t->decoder.n_strip;
    else if (t->decoder.join_by_spaces && !bytes_add_char(out, ' '))
        return false;
    d->started = true;

    bool fallback;
    bytes_clear(&d->token);
    if (!decoder_token(&t->decoder, token, n_bytes, &fallback, &d->token))
        return false;
    if (fallback)
        return bytes_add(&d->run, d->token.data, d->token.len);
    return end_run(d, out) && emit(d, d->token.data, d->token.len, out);
}

bool detokenizer_flush(struct detokenizer *d, struct bytes *out)
{
    const bool ok = end_run(d, out) && utf8_stream_flush(&d->pending, out);
    d->started = false;
    return ok;
}

bool detokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n_ids,
                        bool skip_special_tokens, struct bytes *out)
{
    struct detokenizer d;
    detokenizer_init(&d, t, skip_special_tokens);
    bool ok = true;
    for (size_t i = 0; ok && i < n_ids; i++)
        ok = detokenizer_add(&d, ids[i], out);
    ok = ok && detokenizer_flush(&d, out);
    detokenizer_release(&d);
    return ok;
}

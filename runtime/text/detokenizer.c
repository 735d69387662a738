#include "runtime/text/detokenizer.h"

#include "runtime/text/tokenizer_parts.h"

void detokenizer_init(struct detokenizer *d, const struct tokenizer *t, bool skip_special_tokens)
{
    *d = (struct detokenizer){.tokenizer = t, .skip_special_tokens = skip_special_tokens};
    decode_stream_init(&d->stream, &t->decoder);
}

void detokenizer_release(struct detokenizer *d) { decode_stream_release(&d->stream); }

bool detokenizer_add(struct detokenizer *d, int32_t id, struct bytes *out)
{
    size_t n_bytes;
    const char *token = tokenizer_token(d->tokenizer, id, &n_bytes);
    if (token == NULL || (d->skip_special_tokens && tokenizer_is_skipped(d->tokenizer, id)))
        return true;
    return decode_stream_add(&d->stream, token, n_bytes, out);
}

bool detokenizer_flush(struct detokenizer *d, struct bytes *out)
{
    return decode_stream_end(&d->stream, out);
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

#include "runtime/text/detokenizer.h"

#include "base/bytes.h"
#include "runtime/text/tokenizer_parts.h"

void detokenizer_init(struct detokenizer *d, const struct tokenizer *t, bool skip_special_tokens)
{
    *d = (struct detokenizer){.tokenizer = t, .skip_special_tokens = skip_special_tokens};
}

bool detokenizer_add(struct detokenizer *d, int32_t id, struct bytes *out)
{
    const struct tokenizer *t = d->tokenizer;
    size_t n_bytes;
    const char *token = tokenizer_token(t, id, &n_bytes);
    if (token == NULL || (d->skip_special_tokens && tokenizer_is_special(t, id)))
        return true;
    struct bytes text = {0};
    const bool ok = decoder_token(&t->decoder, token, n_bytes, !d->started, &text) &&
                    utf8_stream_add(&d->pending, text.data, text.len, out);
    bytes_release(&text);
    d->started = true;
    return ok;
}

bool detokenizer_flush(struct detokenizer *d, struct bytes *out)
{
    d->started = false;
    return utf8_stream_flush(&d->pending, out);
}

bool detokenizer_decode(const struct tokenizer *t, const int32_t *ids, size_t n_ids,
                        bool skip_special_tokens, struct bytes *out)
{
    struct detokenizer d;
    detokenizer_init(&d, t, skip_special_tokens);
    for (size_t i = 0; i < n_ids; i++)
        if (!detokenizer_add(&d, ids[i], out))
            return false;
    return detokenizer_flush(&d, out);
}

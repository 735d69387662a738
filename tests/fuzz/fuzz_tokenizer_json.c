/* Bytes as a tokenizer.json: it is refused with an error, or it encodes some texts to ids that it
 * has, and decodes ids to text. */
#include "tests/fuzz/fuzz.h"

#include "base/bytes.h"
#include "base/utf8.h"
#include "runtime/text/detokenizer.h"
#include "runtime/text/encoder.h"
#include "runtime/text/ids.h"
#include "runtime/text/tokenizer.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const texts[] = {
    "",
    "a",
    "Hello, world! 123 it's",
    "  a\n\n b\t<s></s> <|x|>ab",
    "\xC3\xA9\xE4\xBD\xA0\xF0\x9F\x98\x80\xCC\x81 ABC \xEF\xBC\xA1\xE2\x96\x81",
};

/* A file without a name, so that targets beside this one cannot meet it. */
static bool open_bytes(struct tokenizer **out, const uint8_t *data, size_t n_bytes,
                       struct error *err)
{
    char path[32];
    const int fd = memfd_create("tokenizer.json", MFD_CLOEXEC);
    check(fd >= 0 && write(fd, data, n_bytes) == (ssize_t)n_bytes);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const bool good = tokenizer_open(out, path, err);
    close(fd);
    return good;
}

static void decode(const struct tokenizer *t, const int32_t *ids, size_t n_ids)
{
    struct bytes text = {.max = 16 << 20};
    if (detokenizer_decode(t, ids, n_ids, false, &text) && text.len > 0)
        check(utf8_valid_bytes(text.data, text.len) == text.len);
    bytes_release(&text);
}

/* Step by step it is the same. */
static void check_steps(struct encoder *e, const char *text, const struct encode_options *options,
                        bool is_good, const struct ids *want)
{
    struct ids ids = {0};
    struct error err = {0};
    bool good = true, done = false;
    struct encoding *x = encoding_begin(e, text, strlen(text), options, &ids, &err);
    while (good && !done)
        good = encoding_step(x, 1, &done, &err);
    encoding_end(x);
    check(good == is_good && ids.n == want->n);
    check(ids.n == 0 || memcmp(ids.data, want->data, ids.n * sizeof *ids.data) == 0);
    ids_release(&ids);
}

static void encode(const struct tokenizer *t, struct encoder *e, const char *text,
                   const struct encode_options *options)
{
    struct ids ids = {0};
    struct error err = {0};
    const bool good = encoder_encode(e, text, strlen(text), options, &ids, &err);
    check_steps(e, text, options, good, &ids);
    if (good) {
        for (size_t i = 0; i < ids.n; i++)
            check(ids.data[i] >= 0 && ids.data[i] < tokenizer_vocab(t));
        decode(t, ids.data, ids.n);
    } else {
        check_error(&err);
        check(ids.n == 0);
    }
    ids_release(&ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    struct tokenizer *t = NULL;
    struct error err = {0};
    if (!open_bytes(&t, data, n_bytes, &err)) {
        check_error(&err);
        return 0;
    }
    struct encoder *e = encoder_create(t);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const struct text_range half = {0, strlen(texts[i]) / 2};
        encode(t, e, texts[i], NULL);
        encode(t, e, texts[i], &(struct encode_options){.add_special_tokens = true});
        encode(t, e, texts[i], &(struct encode_options){.special_as_text = true});
        encode(t, e, texts[i], &(struct encode_options){.plain = &half, .n_plain = half.end > 0});
    }
    const int32_t ids[] = {0, 1, 2, 3, -1, tokenizer_vocab(t) - 1, tokenizer_vocab(t), 4, 5};
    decode(t, ids, sizeof ids / sizeof *ids);
    encoder_destroy(e);
    tokenizer_close(t);
    return 0;
}

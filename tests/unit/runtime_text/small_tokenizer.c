#include "tests/unit/runtime_text/small_tokenizer.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "runtime/text/encoder.h"
#include "runtime/text/ids.h"
#include "runtime/text/tokenizer.h"
#include "tests/files.h"
#include "tests/test.h"

#include <string.h>
#include <unistd.h>

struct tokenizer *open_bytes_in(const struct folder *folder, const void *file, size_t n_bytes,
                                struct error *err)
{
    const struct file_path path = folder_write(folder, "tokenizer.json", file, n_bytes);
    struct tokenizer *t = NULL;
    const bool ok = tokenizer_open(&t, path.text, err);
    CHECK_EQ(unlink(path.text), 0); /* ext4 waits for the disk where a file is written over */
    CHECK_EQ(ok, err->kind == ERROR_NONE);
    return ok ? t : NULL;
}

struct tokenizer *open_bytes(const void *file, size_t n_bytes, struct error *err)
{
    const struct folder folder = folder_make();
    struct tokenizer *t = open_bytes_in(&folder, file, n_bytes, err);
    folder_remove(&folder);
    return t;
}

struct tokenizer *open_members(const char *members, struct error *err)
{
    struct bytes json = {0};
    bytes_printf(&json, "{%s}", members);
    for (size_t i = 0; i < json.len; i++)
        if (json.data[i] == '\'')
            json.data[i] = '"';
    struct tokenizer *t = open_bytes(json.data, json.len, err);
    bytes_release(&json);
    return t;
}

struct tokenizer *small_tokenizer(const char *members)
{
    struct error err = {0};
    struct tokenizer *t = open_members(members, &err);
    CHECK_STR(err.text, "");
    return t;
}

void check_steps(struct encoder *e, const char *text, size_t n_bytes,
                 const struct encode_options *options, size_t n_steps, const struct ids *want)
{
    struct ids got = {0};
    struct error err = {0};
    bool good = true, done = false;
    ids_add(&got, -7);
    struct encoding *x = encoding_begin(e, text, n_bytes, options, &got, &err);
    while (x != NULL && good && !done)
        good = encoding_step(x, n_steps, &done, &err);
    encoding_end(x);
    CHECK_EQ(err.kind == ERROR_NONE, want != NULL);
    CHECK_EQ(got.data[0], -7);
    CHECK_EQ(got.n, 1 + (want != NULL ? want->n : 0));
    if (want != NULL && want->n > 0)
        CHECK(memcmp(got.data + 1, want->data, want->n * sizeof *want->data) == 0);
    ids_release(&got);
}

static void encode(const struct tokenizer *t, const char *text,
                   const struct encode_options *options, struct ids *ids)
{
    struct error err = {0};
    struct encoder *e = encoder_create(t);
    const bool ok = encoder_encode(e, text, strlen(text), options, ids, &err);
    encoder_destroy(e);
    CHECK_STR(err.text, "");
    CHECK(ok);
    e = encoder_create(t); /* knows no words */
    for (size_t n_steps = 1; n_steps <= 4; n_steps++)
        check_steps(e, text, strlen(text), options, n_steps, ids);
    encoder_destroy(e);
}

void check_ids_with(const struct tokenizer *t, const char *text,
                    const struct encode_options *options, const char *want)
{
    struct ids ids = {0};
    struct bytes got = {0};
    encode(t, text, options, &ids);
    for (size_t i = 0; i < ids.n; i++)
        bytes_printf(&got, "%s%d", i ? " " : "", ids.data[i]);
    CHECK_STR(got.data ? got.data : "", want);
    bytes_release(&got);
    ids_release(&ids);
}

void check_ids(const struct tokenizer *t, const char *text, const char *want)
{
    check_ids_with(t, text, NULL, want);
}

void check_tokens(const struct tokenizer *t, const char *text, const char *want)
{
    struct ids ids = {0};
    struct bytes got = {0};
    encode(t, text, NULL, &ids);
    for (size_t i = 0; i < ids.n; i++) {
        size_t n_bytes;
        const char *token = tokenizer_token(t, ids.data[i], &n_bytes);
        CHECK(token != NULL);
        bytes_printf(&got, "%s%.*s", i ? "|" : "", (int)n_bytes, token);
    }
    CHECK_STR(got.data ? got.data : "", want);
    bytes_release(&got);
    ids_release(&ids);
}

void check_refused(const char *members, enum error_kind kind, const char *const words[])
{
    struct error err = {0};
    struct tokenizer *t = open_members(members, &err);
    CHECK(t == NULL);
    if (strstr(err.text, "tokenizer.json") == NULL)
        test_fail(__FILE__, __LINE__, "the file is not named: %s", err.text);
    for (; *words != NULL; words++)
        if (strstr(err.text, *words) == NULL)
            test_fail(__FILE__, __LINE__, "\"%s\" is not in: %s", *words, err.text);
    CHECK_EQ(err.kind, kind);
}

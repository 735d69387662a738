/* Bytes as a message of a gRPC client: the first one says of which method.
 *
 * Besides that nothing breaks: what unpacking takes is bounded by the size, texts are UTF-8 and end
 * where they say, and answers of reflection are whole messages. */
#include "tests/fuzz/fuzz.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "proto/health.h"
#include "proto/inference_requests.h"
#include "proto/reflection.h"

#include <string.h>

enum { MAX_BYTES_ANYWAY = 8 << 20, MAX_BYTES_A_BYTE = 256 };

static void check_text(const char *text, size_t n_bytes)
{
    if (text != NULL)
        check(strlen(text) == n_bytes && utf8_valid_bytes(text, n_bytes) == n_bytes);
}

static bool read_generate(struct arena *arena, const void *data, size_t n, bool is_chat,
                          struct error *err)
{
    struct inference_generate request;
    const bool is_read = is_chat ? inference_read_chat(&request, arena, data, n, err)
                                 : inference_read_generate(&request, arena, data, n, err);
    if (is_read) {
        check_text(request.prompt.text.data, request.prompt.text.n_bytes);
        for (size_t i = 0; i < request.sampling.n_stop; i++)
            check_text(request.sampling.stop[i], strlen(request.sampling.stop[i]));
    }
    inference_generate_release(&request);
    return is_read;
}

static bool read_pool(struct arena *arena, const void *data, size_t n, bool is_score,
                      struct error *err)
{
    struct inference_pool request;
    const bool is_read = is_score ? inference_read_score(&request, arena, data, n, err)
                                  : inference_read_embed(&request, arena, data, n, err);
    for (size_t i = 0; is_read && i < request.n_inputs; i++)
        check_text(request.input[i].text.data, request.input[i].text.n_bytes);
    return is_read;
}

static bool read_message(uint8_t kind, struct arena *arena, const void *data, size_t n,
                         struct error *err)
{
    struct inference_tokenize tokenize;
    struct inference_detokenize detokenize;
    struct inference_abort abort_calls;
    struct bytes out = {0};
    const char *service;
    switch (kind % 9) {
    case 0:
    case 1:
        return read_generate(arena, data, n, kind % 9 == 1, err);
    case 2:
    case 3:
        return read_pool(arena, data, n, kind % 9 == 3, err);
    case 4:
        return inference_read_tokenize(&tokenize, arena, data, n, err);
    case 5:
        return inference_read_detokenize(&detokenize, arena, data, n, err);
    case 6:
        return inference_read_abort(&abort_calls, arena, data, n, err);
    case 7:
        return health_read_request(&service, arena, data, n, err);
    default: {
        const bool is_answered = reflection_answer(&out, arena, data, n, err);
        check(is_answered == (out.len > 0));
        bytes_release(&out);
        return is_answered;
    }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes)
{
    struct arena arena = {0};
    struct error err = {0};
    if (n_bytes == 0)
        return 0;
    if (read_message(data[0], &arena, data + 1, n_bytes - 1, &err))
        check(err.kind == ERROR_NONE);
    else
        check_error(&err);
    check(arena.total_bytes < MAX_BYTES_ANYWAY + n_bytes * MAX_BYTES_A_BYTE);
    arena_release(&arena);
    return 0;
}

/* A step has three functions: for a whole token, for a part of the one token that there is behind
 * Fuse and ByteLevel, and for the end. What they give goes to the next step at once. */
#include "runtime/text/decode/decode_stream.h"

#include "base/error.h"
#include "base/memory.h"
#include "runtime/text/decode/decoder_text.h"
#include "runtime/text/split/pattern.h"

#include <string.h>

static const char unreadable[] = "\xEF\xBF\xBD"; /* U+FFFD */
enum { UNREADABLE_BYTES = sizeof unreadable - 1, FALLBACK_BYTES = 6 };

typedef bool text_fn(struct decode_stream *s, int i, const char *text, size_t n_bytes);
typedef bool end_fn(struct decode_stream *s, int i);

struct step_functions {
    text_fn *token, *part;
    end_fn *end;
};
static const struct step_functions functions[N_DECODER_STEP_KINDS];

/* Text of step i to the next one. */
static bool emit(struct decode_stream *s, int i, const char *text, size_t n_bytes)
{
    const int next = i + 1;
    if (next == s->decoder->n_steps)
        return bytes_add(s->out, text, n_bytes);
    const struct decoder_step *step = &s->decoder->steps[next];
    const struct step_functions *f = &functions[step->kind];
    return (step->fused ? f->part : f->token)(s, next, text, n_bytes);
}

static bool emit_bytes(struct decode_stream *s, int i, const struct bytes *bytes)
{
    return emit(s, i, bytes->data ? bytes->data : "", bytes->len);
}

static bool end(struct decode_stream *s, int i)
{
    const int next = i + 1;
    if (next == s->decoder->n_steps)
        return true;
    return functions[s->decoder->steps[next].kind].end(s, next);
}

static bool same(struct decode_stream *s, int i, const char *text, size_t n_bytes)
{
    return emit(s, i, text, n_bytes);
}

static struct bytes *cleared(struct bytes *b)
{
    bytes_clear(b);
    return b;
}

/* JoinBySpaces */
static bool join_token(struct decode_stream *s, int i, const char *text, size_t n_bytes)
{
    const bool first = !s->states[i].begun;
    s->states[i].begun = true;
    return (first || emit(s, i, " ", 1)) && emit(s, i, text, n_bytes);
}

/* ByteLevel */
static bool add_raw(struct decode_stream *s, int i, const char *data, size_t n_bytes)
{
    struct decode_state *state = &s->states[i];
    if (i + 1 == s->decoder->n_steps)
        return utf8_stream_add(&state->pending, data, n_bytes, s->out);
    struct bytes *text = cleared(&state->room);
    if (!utf8_stream_add(&state->pending, data, n_bytes, text))
        return false;
    return text->len == 0 || emit_bytes(s, i, text);
}

static bool byte_level_token(struct decode_stream *s, int i, const char *text, size_t n_bytes)
{
    struct bytes *raw = cleared(&s->states[i].held);
    return decoder_byte_level(text, n_bytes, raw) && add_raw(s, i, raw->data, raw->len);
}

/* Whether the one token is in the byte alphabet is known when it is not, or at the end. */
static bool byte_level_part(struct decode_stream *s, int i, const char *text, size_t n_bytes)
{
    struct decode_state *state = &s->states[i];
    if (state->begun)
        return emit(s, i, text, n_bytes);
    if (!bytes_add(&state->held, text, n_bytes))
        return false;
    state->begun = !decoder_is_byte_level(text, n_bytes);
    const bool ok = !state->begun || emit_bytes(s, i, &state->held);
    if (state->begun)
        bytes_clear(&state->held);
    return ok;
}

static bool byte_level_end(struct decode_stream *s, int i)
{
    struct decode_state *state = &s->states[i];
    bool ok = true;
    if (s->decoder->steps[i].fused && !state->begun) {
        struct bytes raw = {.max = DECODER_MAX_TOKEN_BYTES};
        ok = decoder_byte_level(state->held.data ? state->held.data : "", state->held.len, &raw) &&
             add_raw(s, i, raw.data ? raw.data : "", raw.len);
        bytes_release(&raw);
    }
    struct bytes *rest = cleared(&state->room);
    ok = ok && utf8_stream_flush(&state->pending, rest);
    return ok && (rest->len == 0 || emit_bytes(s, i, rest)) && end(s, i);
}

/* ByteFallback: a run is one token if it is UTF-8, and else each byte is one. */
static bool end_run(struct decode_stream *s, int i)
{
    struct decode_state *state = &s->states[i];
    const size_t n_run = state->held.len;
    bool ok = true;
    if (n_run == 0)
        return true;
    if (utf8_valid_bytes(state->held.data, n_run) == n_run)
        ok = emit_bytes(s, i, &state->held);
    else
        for (size_t k = 0; ok && k < n_run; k++)
            ok = emit(s, i, unreadable, UNREADABLE_BYTES);
    bytes_clear(&state->held);
    return ok;
}

static bool fallback_token(struct decode_stream *s, int i, const char *text, size_t n_bytes)
{
    const int byte = decoder_fallback_byte(text, n_bytes);
    if (byte >= 0)
        return bytes_add_char(&s->states[i].held, (char)byte);
    return end_run(s, i) && emit(s, i, text, n_bytes);
}

static bool fallback_part(struct decode_stream *s, int i, const char *text, size_t n_bytes)
{
    struct decode_state *state = &s->states[i];
    if (state->begun)
        return emit(s, i, text, n_bytes);
    if (!bytes_add(&state->held, text, n_bytes))
        return false;
    state->begun = state->held.len > FALLBACK_BYTES;
    const bool ok = !state->begun || emit_bytes(s, i, &state->held);
    if (state->begun)
        bytes_clear(&state->held);
    return ok;
}

static bool fallback_end(struct decode_stream *s, int i)
{
    struct decode_state *state = &s->states[i];
    if (!s->decoder->steps[i].fused)
        return end_run(s, i) && end(s, i);
    const int byte = state->held.len == FALLBACK_BYTES
                         ? decoder_fallback_byte(state->held.data, FALLBACK_BYTES)
                         : -1;
    if (byte < 0)
        return emit_bytes(s, i, &state->held) && end(s, i);
    return bytes_add_char(cleared(&state->held), (char)byte) && end_run(s, i) && end(s, i);
}

/* Strip */
static bool strip_token(struct decode_stream *s, int i, const char *text, size_t n_bytes)
{
    struct bytes *room = cleared(&s->states[i].room);
    return decoder_strip(&s->decoder->steps[i], text, n_bytes, room) && emit_bytes(s, i, room);
}

static bool add_waiting(const struct decoder_step *step, struct decode_state *state, int64_t n,
                        struct bytes *room)
{
    char one[4];
    const size_t n_one = utf8_write(one, step->character);
    bool ok = true;
    state->n_stop -= n;
    for (; ok && n > 0; n--)
        ok = bytes_add(room, one, n_one);
    return ok;
}

/* At the end `stop` characters may go, so as many wait for it. */
static bool strip_part(struct decode_stream *s, int i, const char *text, size_t n_bytes)
{
    const struct decoder_step *step = &s->decoder->steps[i];
    struct decode_state *state = &s->states[i];
    struct bytes *room = cleared(&state->room);
    bool ok = true;
    for (size_t at = 0; ok && at < n_bytes;) {
        const size_t begin = at;
        const bool matches = utf8_read(text, &at) == step->character;
        if (matches && !state->begun && state->n_start < step->start) {
            state->n_start++;
            continue;
        }
        state->begun = true;
        if (matches && state->n_stop < step->stop) {
            state->n_stop++;
            continue;
        }
        if (!matches)
            ok = add_waiting(step, state, state->n_stop, room);
        ok = ok && bytes_add(room, text + begin, at - begin);
    }
    return ok && (room->len == 0 || emit_bytes(s, i, room));
}

/* Replace of a text */
static bool replace_token(struct decode_stream *s, int i, const char *text, size_t n_bytes)
{
    const struct replacement *r = &s->decoder->steps[i].replacement;
    struct bytes *room = cleared(&s->states[i].room);
    return replace_all(text, n_bytes, pattern_text(r->pattern), r->to, room) &&
           emit_bytes(s, i, room);
}

/* So many bytes at the end may be the begin of `wanted`. */
static size_t begun_bytes(const char *text, size_t n_bytes, const char *wanted)
{
    const size_t n_wanted = strlen(wanted);
    size_t n = n_bytes < n_wanted ? n_bytes : n_wanted - 1;
    while (n > 0 && memcmp(text + n_bytes - n, wanted, n) != 0)
        n--;
    return n;
}

static bool replace_part(struct decode_stream *s, int i, const char *text, size_t n_bytes)
{
    const struct replacement *r = &s->decoder->steps[i].replacement;
    const char *wanted = pattern_text(r->pattern);
    struct decode_state *state = &s->states[i];
    struct bytes *room = cleared(&state->room);
    if (!bytes_add(&state->held, text, n_bytes))
        return false;
    size_t done = 0; /* behind the last match */
    for (const char *found; (found = memmem(state->held.data + done, state->held.len - done, wanted,
                                            strlen(wanted))) != NULL;) {
        const size_t begin = (size_t)(found - state->held.data);
        if (!bytes_add(room, state->held.data + done, begin - done) ||
            !bytes_add(room, r->to, r->n_to))
            return false;
        done = begin + strlen(wanted);
    }
    const size_t n_rest = state->held.len - done;
    const size_t n_wait = begun_bytes(state->held.data + done, n_rest, wanted);
    if (!bytes_add(room, state->held.data + done, n_rest - n_wait))
        return false;
    bytes_remove_front(&state->held, state->held.len - n_wait);
    return room->len == 0 || emit_bytes(s, i, room);
}

static bool end_with_held(struct decode_stream *s, int i)
{
    struct bytes *held = &s->states[i].held;
    return (held->len == 0 || emit_bytes(s, i, held)) && end(s, i);
}

/* Replace of a pattern */
static bool regex_token(struct decode_stream *s, int i, const char *text, size_t n_bytes)
{
    struct bytes *room = cleared(&s->states[i].room);
    struct error err = {0};
    size_t n_first = 0;
    pattern_work_limit(s->patterns, n_bytes);
    return replacement_run(&s->decoder->steps[i].replacement, s->patterns, &s->settled, text,
                           n_bytes, &n_first, room, &err) &&
           emit_bytes(s, i, room);
}

static bool hold(struct decode_stream *s, int i, const char *text, size_t n_bytes)
{
    return bytes_add(&s->states[i].held, text, n_bytes);
}

static bool regex_end(struct decode_stream *s, int i)
{
    const struct bytes *held = &s->states[i].held;
    return (held->len == 0 || regex_token(s, i, held->data, held->len)) && end(s, i);
}

/* Metaspace */
static bool metaspace_text(struct decode_stream *s, int i, const char *text, size_t n_bytes)
{
    const struct decoder_step *step = &s->decoder->steps[i];
    struct decode_state *state = &s->states[i];
    struct bytes *room = cleared(&state->room);
    const bool first = step->fused || !state->begun;
    state->begun = true;
    return decoder_metaspace(step, text, n_bytes, first && step->drop_first, room) &&
           emit_bytes(s, i, room);
}

/* WordPiece */
static bool word_piece_token(struct decode_stream *s, int i, const char *text, size_t n_bytes)
{
    struct decode_state *state = &s->states[i];
    struct bytes *room = cleared(&state->room);
    if (!state->begun) {
        state->begun = true;
        return emit(s, i, text, n_bytes);
    }
    return decoder_word_piece(&s->decoder->steps[i], text, n_bytes, room) && emit_bytes(s, i, room);
}

/* BPEDecoder: a token waits until it is known not to be the last. */
static bool word_end_flush(struct decode_stream *s, int i, const char *to)
{
    struct decode_state *state = &s->states[i];
    struct bytes *room = cleared(&state->room);
    return replace_all(state->held.data ? state->held.data : "", state->held.len,
                       s->decoder->steps[i].text, to, room) &&
           emit_bytes(s, i, room);
}

static bool word_end_token(struct decode_stream *s, int i, const char *text, size_t n_bytes)
{
    struct decode_state *state = &s->states[i];
    const bool ok = !state->begun || word_end_flush(s, i, " ");
    state->begun = true;
    return ok && bytes_add(cleared(&state->held), text, n_bytes);
}

static bool word_end_end(struct decode_stream *s, int i)
{
    return (!s->states[i].begun || word_end_flush(s, i, "")) && end(s, i);
}

/* CTC */
static bool deduplicate_token(struct decode_stream *s, int i, const char *text, size_t n_bytes)
{
    struct decode_state *state = &s->states[i];
    const bool repeats = state->begun && state->held.len == n_bytes &&
                         (n_bytes == 0 || memcmp(state->held.data, text, n_bytes) == 0);
    state->begun = true;
    return repeats ||
           (bytes_add(cleared(&state->held), text, n_bytes) && emit(s, i, text, n_bytes));
}

static bool nonempty(struct decode_stream *s, int i, const char *text, size_t n_bytes)
{
    return n_bytes == 0 || emit(s, i, text, n_bytes);
}

static const struct step_functions functions[N_DECODER_STEP_KINDS] = {
    [DECODE_JOIN_BY_SPACES] = {join_token, same, end},
    [DECODE_BYTE_LEVEL] = {byte_level_token, byte_level_part, byte_level_end},
    [DECODE_BYTE_FALLBACK] = {fallback_token, fallback_part, fallback_end},
    [DECODE_FUSE] = {same, same, end},
    [DECODE_STRIP] = {strip_token, strip_part, end},
    [DECODE_REPLACE_TEXT] = {replace_token, replace_part, end_with_held},
    [DECODE_REPLACE_REGEX] = {regex_token, hold, regex_end},
    [DECODE_METASPACE] = {metaspace_text, metaspace_text, end},
    [DECODE_WORD_PIECE] = {word_piece_token, same, end},
    [DECODE_WORD_END] = {word_end_token, same, word_end_end},
    [DECODE_DEDUPLICATE] = {deduplicate_token, same, end},
    [DECODE_DROP_EMPTY] = {nonempty, nonempty, end},
};

static void restart(struct decode_stream *s)
{
    for (int i = 0; i < s->decoder->n_steps; i++) {
        struct decode_state *state = &s->states[i];
        bytes_clear(&state->held);
        state->n_start = state->n_stop = 0;
        state->begun = false;
        state->pending = (struct utf8_stream){0};
    }
}

void decode_stream_init(struct decode_stream *s, const struct decoder *decoder)
{
    *s = (struct decode_stream){.decoder = decoder};
    s->states = memory_alloc((size_t)decoder->n_steps, sizeof *s->states);
    for (int i = 0; i < decoder->n_steps; i++)
        s->states[i].held.max = s->states[i].room.max = DECODER_MAX_TOKEN_BYTES;
    if (decoder->has_regex)
        s->patterns = pattern_work_create();
}

void decode_stream_release(struct decode_stream *s)
{
    for (int i = 0; s->states != NULL && i < s->decoder->n_steps; i++) {
        bytes_release(&s->states[i].held);
        bytes_release(&s->states[i].room);
    }
    memory_free(s->states);
    pattern_work_destroy(s->patterns);
    bytes_release(&s->settled);
    *s = (struct decode_stream){.decoder = s->decoder};
}

bool decode_stream_add(struct decode_stream *s, const char *token, size_t n_bytes,
                       struct bytes *out)
{
    s->out = out;
    return emit(s, -1, token, n_bytes);
}

bool decode_stream_end(struct decode_stream *s, struct bytes *out)
{
    s->out = out;
    const bool ok = end(s, -1);
    restart(s);
    return ok;
}

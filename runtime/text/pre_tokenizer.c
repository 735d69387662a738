/* Stages that cut replace the list of spans; stages that rewrite also replace the text under them,
 * in the one of two rooms that does not hold it now. */
#include "runtime/text/pre_tokenizer.h"

#include "base/utf8.h"
#include "runtime/text/byte_alphabet.h"
#include "runtime/text/unicode.h"

/* Collects the parts of one span, in order, into words. Zero all but `behavior` and `out` first. */
struct joiner {
    enum split_behavior behavior;
    struct spans *out;
    bool has_word, previous_matched;
    struct span word; /* may still grow */
};

static void join_end(struct joiner *j)
{
    if (j->has_word && j->word.begin < j->word.end)
        spans_add(j->out, j->word.begin, j->word.end);
    j->has_word = false;
}

static void join_add(struct joiner *j, size_t begin, size_t end, bool matches)
{
    bool grows = false;
    switch (j->behavior) {
    case SPLIT_REMOVED:
    case SPLIT_ISOLATED:
        break;
    case SPLIT_MERGED_WITH_PREVIOUS:
        grows = matches && !j->previous_matched;
        break;
    case SPLIT_MERGED_WITH_NEXT:
        grows = !matches && j->previous_matched;
        break;
    case SPLIT_CONTIGUOUS:
        grows = matches == j->previous_matched;
        break;
    }
    j->previous_matched = matches;
    if (grows && j->has_word) {
        j->word.end = (uint32_t)end;
        return;
    }
    join_end(j);
    j->word = (struct span){(uint32_t)begin, (uint32_t)end};
    j->has_word = !(matches && j->behavior == SPLIT_REMOVED);
}

/* An empty match right behind a match does not count: the search goes on one character later. */
static bool split_span(const struct pre_tokenizer_stage *stage, struct pre_tokenizer_work *work,
                       const char *view, struct span span, struct error *err)
{
    struct joiner joiner = {.behavior = stage->behavior, .out = &work->next};
    const char *text = view + span.begin;
    const size_t n_bytes = span.end - span.begin;
    size_t done = 0, from = 0; /* all before `done` was joined */
    bool after_match = false;
    while (from <= n_bytes) {
        struct span match;
        bool found;
        if (!pattern_find(stage->pattern, work->patterns, text, n_bytes, from, &match, &found, err))
            return false;
        if (!found)
            break;
        if (match.begin == match.end && after_match && match.end == done) {
            if (from == n_bytes)
                break;
            utf8_read(text, &from);
            continue;
        }
        if (done < match.begin)
            join_add(&joiner, span.begin + done, span.begin + match.begin, stage->invert);
        join_add(&joiner, span.begin + match.begin, span.begin + match.end, !stage->invert);
        done = from = match.end;
        after_match = true;
    }
    if (done < n_bytes)
        join_add(&joiner, span.begin + done, span.end, stage->invert);
    join_end(&joiner);
    return true;
}

static bool run_split(const struct pre_tokenizer_stage *stage, struct pre_tokenizer_work *work,
                      struct error *err)
{
    const char *view = pattern_is_regex(stage->pattern)
                           ? unicode_settle(work->text, work->n_bytes, &work->settled)
                           : work->text;
    for (size_t i = 0; i < work->spans.n; i++)
        if (!split_span(stage, work, view, work->spans.data[i], err))
            return false;
    return true;
}

static void run_digits(const struct pre_tokenizer_stage *stage, struct pre_tokenizer_work *work)
{
    for (size_t i = 0; i < work->spans.n; i++) {
        const struct span span = work->spans.data[i];
        struct joiner joiner = {.behavior = stage->behavior, .out = &work->next};
        size_t done = span.begin;
        for (size_t at = span.begin; at < span.end;) {
            const size_t begin = at;
            if (!unicode_is_number(utf8_read(work->text, &at)))
                continue;
            if (done < begin)
                join_add(&joiner, done, begin, false);
            join_add(&joiner, begin, at, true);
            done = at;
        }
        if (done < span.end)
            join_add(&joiner, done, span.end, false);
        join_end(&joiner);
    }
}

static void run_prefix_space(struct pre_tokenizer_work *work, struct bytes *room)
{
    for (size_t i = 0; i < work->spans.n; i++) {
        const struct span span = work->spans.data[i];
        const size_t begin = room->len;
        if (work->text[span.begin] != ' ')
            bytes_add_char(room, ' ');
        bytes_add(room, work->text + span.begin, span.end - span.begin);
        spans_add(&work->next, begin, room->len);
    }
}

static void run_byte_alphabet(struct pre_tokenizer_work *work, struct bytes *room)
{
    char map[256][4];
    unsigned char n_map[256];
    for (int byte = 0; byte < 256; byte++)
        n_map[byte] = (unsigned char)utf8_write(map[byte], byte_alphabet_char((unsigned char)byte));
    bytes_reserve(room, 2 * work->n_bytes); /* no character of the alphabet has more bytes */
    char *out = room->data;
    for (size_t i = 0; i < work->spans.n; i++) {
        const struct span span = work->spans.data[i];
        const char *const begin = out;
        for (size_t at = span.begin; at < span.end; at++) {
            const unsigned char byte = (unsigned char)work->text[at];
            out[0] = map[byte][0];
            out[1] = map[byte][1];
            out += n_map[byte];
        }
        spans_add(&work->next, (size_t)(begin - room->data), (size_t)(out - room->data));
    }
    room->len = (size_t)(out - room->data);
}

static bool run_stage(const struct pre_tokenizer_stage *stage, struct pre_tokenizer_work *work,
                      struct error *err)
{
    struct bytes *room = &work->room[!work->room_used];
    work->next.n = 0;
    switch (stage->kind) {
    case STAGE_SPLIT:
        if (!run_split(stage, work, err))
            return false;
        break;
    case STAGE_DIGITS:
        run_digits(stage, work);
        break;
    case STAGE_PREFIX_SPACE:
    case STAGE_BYTE_ALPHABET:
        bytes_clear(room);
        if (stage->kind == STAGE_PREFIX_SPACE)
            run_prefix_space(work, room);
        else
            run_byte_alphabet(work, room);
        work->room_used = !work->room_used;
        work->text = room->data;
        work->n_bytes = room->len;
        break;
    }
    const struct spans before = work->spans;
    work->spans = work->next;
    work->next = before;
    return true;
}

bool pre_tokenizer_run(const struct pre_tokenizer *p, struct pre_tokenizer_work *work,
                       const char *text, size_t n_bytes, struct error *err)
{
    work->text = text;
    work->n_bytes = n_bytes;
    work->spans.n = 0;
    if (n_bytes == 0)
        return true;
    spans_add(&work->spans, 0, n_bytes);
    for (int i = 0; i < p->n_stages; i++)
        if (!run_stage(&p->stages[i], work, err))
            return false;
    return true;
}

void pre_tokenizer_release(struct pre_tokenizer *p)
{
    for (int i = 0; i < p->n_stages; i++)
        pattern_destroy(p->stages[i].pattern);
    p->n_stages = 0;
}

void pre_tokenizer_work_release(struct pre_tokenizer_work *work)
{
    spans_release(&work->spans);
    spans_release(&work->next);
    bytes_release(&work->room[0]);
    bytes_release(&work->room[1]);
    bytes_release(&work->settled);
}

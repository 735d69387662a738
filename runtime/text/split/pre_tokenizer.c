/* Stages that cut replace the list of spans; those that rewrite also replace the text under them
 * (pre_tokenizer_rewrite.c). */
#include "runtime/text/split/pre_tokenizer.h"

#include "base/utf8.h"
#include "runtime/text/split/pre_tokenizer_rewrite.h"
#include "runtime/text/split/unicode_script.h"
#include "runtime/text/unicode.h"

static void join_end(struct span_joiner *j)
{
    if (j->has_word && j->word.begin < j->word.end)
        spans_add(j->out, j->word.begin, j->word.end);
    j->has_word = false;
}

static void join_add(struct span_joiner *j, size_t begin, size_t end, bool matches)
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

/* ---- one span of each stage ---- */

/* One match, and what stands before it. *more false: there was none, the span is done. */
static bool split_once(const struct pre_tokenizer_stage *stage, struct pre_tokenizer_work *work,
                       struct span span, bool *more, struct error *err)
{
    struct span_splitting *s = &work->splitting;
    struct span match;
    if (!pattern_next(stage->pattern, work->patterns, work->view + span.begin,
                      span.end - span.begin, &s->scan, &match, more, err))
        return false;
    if (s->done < match.begin)
        join_add(&s->joiner, span.begin + s->done, span.begin + match.begin, stage->invert);
    if (*more)
        join_add(&s->joiner, span.begin + match.begin, span.begin + match.end, !stage->invert);
    s->done = match.end;
    return true;
}

static bool run_split(const struct pre_tokenizer_stage *stage, struct pre_tokenizer_work *work,
                      size_t *n_steps, bool *done, struct error *err)
{
    struct span_splitting *s = &work->splitting;
    if (work->view == NULL)
        work->view = pattern_is_regex(stage->pattern)
                         ? unicode_settle(work->text, work->n_bytes, &work->settled)
                         : work->text;
    while (*n_steps > 0 && work->i < work->spans.n) {
        bool more = true;
        s->joiner.behavior = stage->behavior;
        s->joiner.out = &work->next;
        for (; more && *n_steps > 0; --*n_steps)
            if (!split_once(stage, work, work->spans.data[work->i], &more, err))
                return false;
        if (more)
            break;
        join_end(&s->joiner);
        *s = (struct span_splitting){0};
        work->i++;
    }
    *done = work->i == work->spans.n;
    return true;
}

static void split_chars(const struct pre_tokenizer_stage *stage, struct pre_tokenizer_work *work,
                        struct span span)
{
    struct span_joiner joiner = {.behavior = stage->behavior, .out = &work->next};
    size_t done = span.begin;
    for (size_t at = span.begin; at < span.end;) {
        const size_t begin = at;
        const uint32_t c = utf8_read(work->text, &at);
        if (stage->matches ? !stage->matches(c) : c != stage->character)
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

/* Runs of one kind become words, and white space none. */
static void split_words(struct pre_tokenizer_work *work, struct span span)
{
    enum kind { SPACE, WORD, OTHER } before = SPACE;
    size_t begin = span.begin;
    for (size_t at = span.begin, behind = at; at < span.end; at = behind) {
        const uint32_t c = utf8_read(work->text, &behind);
        const enum kind kind = unicode_is_word(c) ? WORD : unicode_is_space(c) ? SPACE : OTHER;
        if (kind == before)
            continue;
        if (before != SPACE)
            spans_add(&work->next, begin, at);
        before = kind;
        begin = at;
    }
    if (before != SPACE)
        spans_add(&work->next, begin, span.end);
}

/* What has no script goes with what stands before it; at the begin of a part it is left out, as
 * the reference does. */
static void split_scripts(struct pre_tokenizer_work *work, struct span span)
{
    int before = UNICODE_SCRIPT_ANY;
    size_t begin = span.begin;
    for (size_t at = span.begin, behind = at; at < span.end; at = behind) {
        const int script = unicode_script(utf8_read(work->text, &behind));
        if (script == UNICODE_SCRIPT_ANY || script == before)
            continue;
        if (before != UNICODE_SCRIPT_ANY)
            spans_add(&work->next, begin, at);
        before = script;
        begin = at;
    }
    if (before != UNICODE_SCRIPT_ANY)
        spans_add(&work->next, begin, span.end);
}

static void split_fixed_length(const struct pre_tokenizer_stage *stage,
                               struct pre_tokenizer_work *work, struct span span)
{
    for (size_t at = span.begin; at < span.end;) {
        const size_t begin = at;
        for (int64_t n = 0; n < stage->length && at < span.end; n++)
            utf8_read(work->text, &at);
        spans_add(&work->next, begin, at);
    }
}

/* ---- stages ---- */

static bool run_stage(const struct pre_tokenizer_stage *stage, struct pre_tokenizer_work *work,
                      size_t *n_steps, bool *done, struct error *err)
{
    if (stage->kind == STAGE_SPLIT)
        return run_split(stage, work, n_steps, done, err);
    if (stage->kind == STAGE_PREFIX_SPACE || stage->kind == STAGE_METASPACE ||
        stage->kind == STAGE_BYTE_ALPHABET)
        return pre_tokenizer_rewrite(stage, work, n_steps, done, err);
    for (; *n_steps > 0 && work->i < work->spans.n; work->i++, --*n_steps) {
        const struct span span = work->spans.data[work->i];
        if (stage->kind == STAGE_SPLIT_CHARS)
            split_chars(stage, work, span);
        else if (stage->kind == STAGE_WORDS)
            split_words(work, span);
        else if (stage->kind == STAGE_SCRIPTS)
            split_scripts(work, span);
        else
            split_fixed_length(stage, work, span);
    }
    *done = work->i == work->spans.n;
    return true;
}

static void begin_stage(struct pre_tokenizer_work *work)
{
    work->i = 0;
    work->splitting = (struct span_splitting){0};
    work->view = NULL;
    work->next.n = 0;
}

static void end_stage(struct pre_tokenizer_work *work)
{
    const struct spans before = work->spans;
    work->spans = work->next;
    work->next = before;
    work->stage++;
    begin_stage(work);
}

void pre_tokenizer_begin(struct pre_tokenizer_work *work, const char *text, size_t n_bytes,
                         size_t n_first)
{
    work->text = text;
    work->n_bytes = n_bytes;
    work->n_first = n_first;
    work->stage = 0;
    work->spans.n = 0;
    begin_stage(work);
    if (n_bytes > 0)
        spans_add(&work->spans, 0, n_bytes);
}

bool pre_tokenizer_step(const struct pre_tokenizer *p, struct pre_tokenizer_work *work,
                        size_t *n_steps, bool *done, struct error *err)
{
    while (work->spans.n > 0 && work->stage < p->n_stages) {
        if (!run_stage(&p->stages[work->stage], work, n_steps, done, err))
            return false;
        if (!*done)
            return true;
        end_stage(work);
    }
    *done = true;
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

#include "tests/unit/runtime_schedule/oracle.h"

#include "tests/test.h"

#include <stddef.h>
#include <string.h>

enum { MAX_OUTPUT = 64 };

uint64_t oracle_extend(uint64_t hash, int32_t token)
{
    hash = (hash ^ (uint64_t)(token + 1)) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

uint64_t oracle_hash(uint64_t key, const int32_t *token, int n)
{
    uint64_t hash = key * 0xd1342543de82ef95u + 1;
    for (int i = 0; i < n; i++)
        hash = oracle_extend(hash, token[i]);
    return hash;
}

int32_t oracle_token(uint64_t hash, int32_t last)
{
    hash >>= 8;
    if (hash % 211 == 0)
        return -1;
    if (hash % 4 > 0)
        return (last * 7 + 3) % ORACLE_VOCAB;
    return (int32_t)(hash / 4 % ORACLE_VOCAB);
}

int32_t oracle_guess(uint64_t hash, int32_t last)
{
    const int32_t token = oracle_token(hash, last);
    return token < 0 || (hash >> 20) % 3 == 0 ? (int32_t)((hash >> 22) % ORACLE_VOCAB) : token;
}

void oracle_candidates(struct beam_candidate *out, int n, uint64_t hash)
{
    hash >>= 8;
    for (int i = 0; i < n; i++) /* a prime vocabulary: 7 i are different */
        out[i] = (struct beam_candidate){
            .token = (int32_t)((hash + 7 * (uint64_t)i) % ORACLE_VOCAB),
            .logprob = -(float)(i + 1) * (float)(hash / 64 % 4 + 1) * 0.25f};
}

/* ---- a beam search ---- */

struct text {
    int32_t token[MAX_OUTPUT];
    int n;
    double sum, score;
    enum finish_reason finish;
};

enum { MAX_TEXTS = PARAMS_MAX_BEAMS * 2 * PARAMS_MAX_BEAMS };

bool oracle_is_eos(int32_t token, int n_eos_ids)
{
    return token >= ORACLE_EOS && token < ORACLE_EOS + n_eos_ids;
}

/* Puts a text into a list with the better ones first, behind those that are equal. */
static void insert(struct text *list, int *n, const struct text *text, bool by_score)
{
    int at = *n;
    while (at > 0 && (by_score ? text->score > list[at - 1].score : text->sum > list[at - 1].sum))
        at--;
    memmove(list + at + 1, list + at, (size_t)(*n - at) * sizeof *list);
    list[at] = *text;
    ++*n;
}

struct search {
    struct text live[MAX_TEXTS + 1], done[MAX_TEXTS * 2];
    int n_live, n_done;
};

static void step(struct search *search, uint64_t prompt_hash, int n_prompt, int n_output,
                 int n_eos_ids, const struct sampling_params *params)
{
    static struct text next[MAX_TEXTS + 1];
    const int width = params->beam_width;
    const int n_candidates = 2 * width < ORACLE_VOCAB ? 2 * width : ORACLE_VOCAB;
    int n_next = 0;
    for (int b = 0; b < search->n_live; b++) {
        uint64_t hash = prompt_hash;
        for (int i = 0; i < search->live[b].n; i++)
            hash = oracle_extend(hash, search->live[b].token[i]);
        struct beam_candidate candidate[2 * PARAMS_MAX_BEAMS];
        oracle_candidates(candidate, n_candidates, hash);
        for (int i = 0; i < n_candidates; i++) {
            struct text text = search->live[b];
            const bool is_eos = oracle_is_eos(candidate[i].token, n_eos_ids);
            text.token[text.n++] = candidate[i].token;
            text.sum += (double)candidate[i].logprob;
            text.score = beam_score(text.sum, n_prompt, text.n, is_eos, params);
            const bool ends = is_eos && !params->ignore_eos;
            text.finish = ends ? FINISH_STOP : FINISH_LENGTH;
            if (ends)
                insert(search->done, &search->n_done, &text, true);
            else
                insert(next, &n_next, &text, false);
        }
    }
    search->n_live = n_next < width ? n_next : width;
    memcpy(search->live, next, (size_t)search->n_live * sizeof *next);
    if (search->n_live > 0 && search->live[0].n == n_output) {
        for (int b = 0; b < search->n_live; b++)
            insert(search->done, &search->n_done, &search->live[b], true);
        search->n_live = 0;
    }
    if (search->n_done > width)
        search->n_done = width; /* no later one is better than the best `width` of now and later */
}

int oracle_beams(struct beam *out, int32_t *token, int stride, uint64_t key, const int32_t *prompt,
                 int n_prompt, int n_output, int n_eos_ids, const struct sampling_params *params)
{
    static struct search search;
    CHECK(n_output <= MAX_OUTPUT);
    search.n_live = 1;
    search.n_done = 0;
    search.live[0] = (struct text){.n = 0};
    while (search.n_live > 0)
        step(&search, oracle_hash(key, prompt, n_prompt), n_prompt, n_output, n_eos_ids, params);
    for (int i = 0; i < search.n_done; i++) {
        const struct text *text = &search.done[i];
        memcpy(token + (size_t)i * (size_t)stride, text->token, (size_t)text->n * sizeof *token);
        out[i] = (struct beam){.token = token + (size_t)i * (size_t)stride,
                               .n_tokens = text->n,
                               .cumulative_logprob = text->sum,
                               .score = text->score,
                               .finish = text->finish};
    }
    return search.n_done;
}

#include "runtime/gateway/journal.h"

#include "base/check.h"
#include "base/memory.h"

#include <string.h>
#include <uthash.h>
#include <utlist.h>

struct slot {
    struct journal_entry entry; /* first: an entry is its slot */
    struct slot *prev, *next;   /* in the list that it is in */
    struct arena arena;         /* of the copies */
    UT_hash_handle hh, hh_id;   /* by wire_id, by id */
};

struct list { /* in order of the ids */
    struct slot *first;
    size_t n;
};

struct journal {
    struct slot *by_wire_id, *by_id;
    struct list waiting, suspects; /* suspects wait too */
    struct list at[JOURNAL_MAX_ENGINES];
    uint64_t last_id;
    struct ids ends; /* of the rows that journal_hear_prompt() leaves */
};

struct journal *journal_create(int n_engines)
{
    check(n_engines >= 1 && n_engines <= JOURNAL_MAX_ENGINES);
    return memory_alloc(1, sizeof(struct journal));
}

void journal_destroy(struct journal *journal)
{
    if (journal == NULL)
        return;
    struct slot *slot, *next;
    HASH_ITER(hh, journal->by_wire_id, slot, next)
    journal_remove(journal, &slot->entry);
    ids_release(&journal->ends);
    memory_free(journal);
}

/* ---- lists ---- */

static int compare_ids(const struct slot *a, const struct slot *b)
{
    return (a->entry.id > b->entry.id) - (a->entry.id < b->entry.id);
}

static struct list *list_of(struct journal *journal, const struct journal_entry *entry)
{
    if (entry->engine != JOURNAL_NOWHERE)
        return &journal->at[entry->engine];
    return journal_is_suspect(entry) ? &journal->suspects : &journal->waiting;
}

static void take_out(struct journal *journal, struct slot *slot)
{
    struct list *list = list_of(journal, &slot->entry);
    DL_DELETE(list->first, slot);
    list->n--;
}

/* At its place by id: nearly always the end, or, of what comes back, the beginning. */
static void put_in(struct journal *journal, struct slot *slot)
{
    struct list *list = list_of(journal, &slot->entry);
    struct slot *last = list->first != NULL ? list->first->prev : NULL;
    list->n++;
    if (last == NULL || compare_ids(last, slot) < 0)
        DL_APPEND(list->first, slot);
    else
        DL_INSERT_INORDER(list->first, slot, compare_ids);
}

/* ---- copies ---- */

static void *copy(struct arena *arena, const void *items, int n, size_t item_bytes)
{
    if (n <= 0)
        return NULL;
    return memcpy(arena_alloc(arena, (size_t)n, item_bytes), items, (size_t)n * item_bytes);
}

static void copy_submit(struct slot *slot, const struct link_submit *from)
{
    struct link_submit *to = &slot->entry.submit;
    struct arena *arena = &slot->arena;
    const struct sampling_params *p = &from->params;
    const int n_bad_ids = p->n_bad_words > 0 ? p->bad_end[p->n_bad_words - 1] : 0;
    *to = *from;
    to->prompt = copy(arena, from->prompt, from->n_prompt, sizeof *from->prompt);
    to->cache_key = copy(arena, from->cache_key, from->n_cache_key, 1);
    to->params.allowed_id = copy(arena, p->allowed_id, p->n_allowed_ids, sizeof *p->allowed_id);
    to->params.bias = copy(arena, p->bias, p->n_biases, sizeof *p->bias);
    to->params.bad_id = copy(arena, p->bad_id, n_bad_ids, sizeof *p->bad_id);
    to->params.bad_end = copy(arena, p->bad_end, p->n_bad_words, sizeof *p->bad_end);
    ids_add_all(&slot->entry.output, from->output, (size_t)from->n_output);
}

/* ---- entries ---- */

struct journal_entry *journal_add(struct journal *journal, struct link_submit *submit,
                                  const struct dispatch_listener *listener)
{
    struct slot *slot = memory_alloc(1, sizeof *slot);
    submit->id = ++journal->last_id;
    copy_submit(slot, submit);
    slot->entry.id = slot->entry.wire_id = submit->id;
    slot->entry.engine = JOURNAL_NOWHERE;
    slot->entry.listener = *listener;
    HASH_ADD(hh, journal->by_wire_id, entry.wire_id, sizeof slot->entry.wire_id, slot);
    HASH_ADD(hh_id, journal->by_id, entry.id, sizeof slot->entry.id, slot);
    put_in(journal, slot);
    return &slot->entry;
}

void journal_remove(struct journal *journal, struct journal_entry *entry)
{
    struct slot *slot = (struct slot *)entry;
    take_out(journal, slot);
    HASH_DELETE(hh, journal->by_wire_id, slot);
    HASH_DELETE(hh_id, journal->by_id, slot);
    ids_release(&entry->output);
    arena_release(&slot->arena);
    memory_free(slot);
}

static void rename_slot(struct journal *journal, struct slot *slot)
{
    HASH_DELETE(hh, journal->by_wire_id, slot);
    slot->entry.wire_id = ++journal->last_id;
    HASH_ADD(hh, journal->by_wire_id, entry.wire_id, sizeof slot->entry.wire_id, slot);
}

static struct journal_entry *entry_of(struct slot *slot)
{
    return slot != NULL ? &slot->entry : NULL;
}

struct journal_entry *journal_find(struct journal *journal, uint64_t wire_id)
{
    struct slot *slot;
    HASH_FIND(hh, journal->by_wire_id, &wire_id, sizeof wire_id, slot);
    return entry_of(slot);
}

struct journal_entry *journal_find_id(struct journal *journal, uint64_t id)
{
    struct slot *slot;
    HASH_FIND(hh_id, journal->by_id, &id, sizeof id, slot);
    return entry_of(slot);
}

struct journal_entry *journal_waiting(struct journal *journal, bool suspects)
{
    return entry_of(suspects ? journal->suspects.first : journal->waiting.first);
}

static int64_t deadline_of(const struct slot *slot)
{
    const int64_t deadline_ns = slot->entry.submit.deadline_ns;
    return deadline_ns != 0 ? deadline_ns : INT64_MAX;
}

struct journal_entry *journal_overdue(struct journal *journal, int64_t now_ns)
{
    const struct list *const lists[] = {&journal->waiting, &journal->suspects};
    struct slot *slot;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        DL_FOREACH(lists[i]->first, slot)
        {
            if (deadline_of(slot) <= now_ns)
                return &slot->entry;
        }
    return NULL;
}

int64_t journal_next_deadline(const struct journal *journal)
{
    const struct list *const lists[] = {&journal->waiting, &journal->suspects};
    const struct slot *slot;
    int64_t next_ns = INT64_MAX;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        DL_FOREACH(lists[i]->first, slot)
        {
            next_ns = deadline_of(slot) < next_ns ? deadline_of(slot) : next_ns;
        }
    return next_ns;
}

struct journal_entry *journal_at(struct journal *journal, int engine)
{
    return entry_of(journal->at[engine].first);
}

size_t journal_count(const struct journal *journal) { return HASH_COUNT(journal->by_wire_id); }
size_t journal_count_at(const struct journal *journal, int engine) { return journal->at[engine].n; }

bool journal_is_suspect(const struct journal_entry *entry)
{
    return entry->n_crashes >= JOURNAL_SUSPECT;
}

/* ---- to engines and back ---- */

void journal_send(struct journal *journal, struct journal_entry *entry, int engine,
                  struct link_submit *out)
{
    struct slot *slot = (struct slot *)entry;
    check(entry->engine == JOURNAL_NOWHERE);
    take_out(journal, slot);
    entry->engine = engine;
    entry->was_heard = false;
    entry->n_drafted_before = entry->n_drafted;
    entry->n_accepted_before = entry->n_accepted;
    put_in(journal, slot);

    *out = entry->submit;
    out->id = entry->wire_id;
    out->output = entry->output.data;
    out->n_output = (int)entry->output.n;
    if (entry->n_prompt_rows >= entry->submit.n_prompt - 1) /* the first token has none */
        out->params.prompt_logprobs = LOGPROBS_OFF;
}

void journal_recall(struct journal *journal, struct journal_entry *entry)
{
    struct slot *slot = (struct slot *)entry;
    take_out(journal, slot);
    entry->engine = JOURNAL_NOWHERE;
    rename_slot(journal, slot); /* what is on its way under the old id finds nobody */
    put_in(journal, slot);
}

void journal_lose(struct journal *journal, int engine)
{
    struct slot *slot, *next;
    DL_FOREACH_SAFE(journal->at[engine].first, slot, next)
    {
        take_out(journal, slot);
        slot->entry.engine = JOURNAL_NOWHERE;
        slot->entry.n_crashes += !slot->entry.was_heard;
        rename_slot(journal, slot);
        put_in(journal, slot);
    }
}

/* Something new came of it, which clears it of suspicion. */
static void hear(struct journal_entry *entry)
{
    entry->was_heard = true;
    entry->n_crashes = 0;
}

void journal_hear_token(struct journal_entry *entry, struct link_token *token)
{
    hear(entry);
    if (token->token < 0)
        return;
    ids_add(&entry->output, token->token);
    entry->n_drafted = token->n_drafted += entry->n_drafted_before;
    entry->n_accepted = token->n_accepted += entry->n_accepted_before;
}

bool journal_hear_prompt(struct journal *journal, struct journal_entry *entry,
                         struct link_prompt_logprobs *rows)
{
    const int n_told = entry->n_prompt_rows + 1 - rows->position; /* of these rows */
    if (n_told >= rows->n_positions)
        return false;
    hear(entry);
    entry->n_prompt_rows = rows->position + rows->n_positions - 1;
    if (n_told <= 0)
        return true;
    const int32_t begin = rows->end[n_told - 1];
    ids_clear(&journal->ends);
    for (int i = n_told; i < rows->n_positions; i++)
        ids_add(&journal->ends, rows->end[i] - begin);
    rows->logprob += begin;
    rows->end = journal->ends.data;
    rows->n_positions -= n_told;
    rows->position += n_told;
    return true;
}

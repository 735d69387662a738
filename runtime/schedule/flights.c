/* Where several plans are in flight (pipeline stages), each should take the stages as long as the
 * others: while one stage runs this plan, its neighbours run those before and after it, and all
 * wait for the slowest. So what there is to run is dealt out evenly: of the sequences that decode
 * each plan has at most its part, and of prompts as many rows as the others.
 *
 * Which sequences are in which plan settles by itself. Those of a plan come back together, and its
 * successor takes the first of those that are there, no more than a part of all: where some end,
 * the plans that have more give to those that have less.
 *
 * Plans that run ahead are there for another reason: one device runs them one after the other, and
 * each takes all that there is. */
#include "runtime/schedule/scheduler_state.h"

/* Rows of prompts that are worth a plan of their own: a plan reads all weights once, which takes as
 * long as to compute some hundred rows. */
enum { LEAST_ROWS = 256 };

/* What is there to run: in the running sequences, and in those that wait and have a place. */
struct work {
    int n_decoding;        /* sequences with one row to run, or whose row is in flight */
    int64_t n_prompt_rows; /* of all others, those in flight too */
};

static void add_running(const struct request *request, struct work *work)
{
    const int n_beams = beams_are_parted(request) ? beams_now(request) : 1;
    for (int i = 0; i < n_beams; i++) {
        const struct request *r = beam_at(request, i);
        const int rest = r->n_tokens - r->n_computed;
        if (rest > 1)
            work->n_prompt_rows += rest;
        else
            work->n_decoding++;
    }
}

static struct work count_work(const struct scheduler *s)
{
    struct work work = {.n_prompt_rows = s->n_prompt_rows_in_flight};
    const int n_waiting = smaller(s->waiting.n, s->is.limits.max_sequences - s->n_places);
    for (const struct request *r = s->running.first; r != NULL; r = r->next)
        add_running(r, &work);
    for (int i = 0; i < n_waiting; i++)
        work.n_prompt_rows += s->waiting.entry[i]->n_tokens;
    return work;
}

void flights_share(const struct scheduler *s, struct choice *choice)
{
    const int n_flights = s->is.n_flights;
    choice->decodes_left = s->is.limits.max_sequences;
    choice->prompt_rows_left = s->is.limits.max_tokens;
    if (n_flights <= 1 || s->is.runs_ahead)
        return;
    const struct work work = count_work(s);
    const int64_t worth = work.n_prompt_rows / LEAST_ROWS;
    const int64_t n_parts = worth < 1 ? 1 : worth < n_flights ? worth : n_flights;
    const int64_t rows = (work.n_prompt_rows + n_parts - 1) / n_parts;
    choice->decodes_left = larger(1, (work.n_decoding + n_flights - 1) / n_flights);
    if (rows < choice->prompt_rows_left)
        choice->prompt_rows_left = larger(LEAST_ROWS, (int)rows);
}

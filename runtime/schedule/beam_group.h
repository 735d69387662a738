/* runtime/schedule/beam_group.h: the sequences of a beam search.
 *
 * Between the files of the scheduler. A request with a beam_width is a group of that many places
 * for sequences, the request itself among them. It begins with one that runs the prompt; then each
 * step of the search picks the beams that live on (beam.h), and a beam that lives on twice is
 * copied: its blocks are shared, and the last one, which both go on filling, is copied when the
 * second writes to it (PLAN_COPY).
 *
 * The group is admitted, preempted and cancelled as one. Its beams run by themselves, as budgets
 * allow, and a step of the search is taken when all have their candidates. After a preemption one
 * beam computes the prompt for all.
 *
 * A request that is not a beam search is a group of one here, so that callers need no cases.
 */
#pragma once
#include "runtime/schedule/scheduler.h"
#include "runtime/schedule/sequence_blocks.h"

struct beam_group;

struct beam_group *beam_group_create(struct request *request, const struct request_bounds *bounds);
void beam_group_destroy(struct beam_group *group); /* NULL is fine */

/* Sequences that the request has now, best first, and may have. */
int beams_now(const struct request *request);
int beams_most(const struct request *request);
struct request *beam_at(const struct request *request, int i);

/* Is a row of it in flight whose result takes the search on? */
bool beams_are_awaited(const struct request *request);
/* Blocks for so many beams with n_positions, which share the full blocks of their prompt. */
int64_t beams_need(const struct sequence_blocks *blocks, const struct request *request,
                   int n_positions, int n_beams);
/* Does each run by itself? Else the first one has to compute the tokens that all have in common, so
 * many, before the others share them. */
bool beams_are_parted(const struct request *request);
int beams_common(const struct sequence_blocks *blocks, const struct request *request);
void beams_part(struct sequence_blocks *blocks, struct request *request);

/* All blocks are given back, and nothing is computed. */
void beams_give(struct sequence_blocks *blocks, struct request *request);

/* The last row of this beam was chosen. */
void beam_await(struct request *beam);
/* It gave these candidates. True: the search is over, *result has the best ones; FINISH_ERROR where
 * there are none. */
bool beam_report(struct sequence_blocks *blocks, struct request *beam,
                 const struct row_result *candidates, const struct request_bounds *bounds,
                 struct outcome *result);

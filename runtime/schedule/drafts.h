/* runtime/schedule/drafts.h: guesses of the next tokens that a step checks along.
 *
 * Between the files of the scheduler. A sequence whose next token is asked for may have drafts of
 * the ones after it: token[n_tokens ..], as many as budgets, free blocks and its limit leave when
 * everybody else has what he needs.
 *
 * The draft model has a KV cache of its own, with the same block ids (those of group 0) and its own
 * count of tokens in it, n_draft_computed. It is fed all tokens that the target is fed, where its
 * budget allows; a sequence it is behind with has no drafts. Blocks that the target has given back,
 * because no row of it sees them, may be missing where the draft model is a few tokens behind: then
 * it guesses worse, and no token is another one.
 */
#pragma once
#include "runtime/schedule/scheduler_state.h"

/* A sequence was admitted, with n_computed tokens in the prefix cache: how far is the draft model?
 */
void drafts_admit(struct scheduler *scheduler, struct request *request);
/* A sequence was chosen, up to token[end - 1]: what the draft model is fed of it. */
void drafts_follow(struct scheduler *scheduler, struct request *request, int end);
/* Everybody was chosen: adds drafts. */
void drafts_choose(struct scheduler *scheduler, struct batch *batch);

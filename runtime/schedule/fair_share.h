/* runtime/schedule/fair_share.h: whose turn it is, so that no tenant gets more than its share.
 *
 * Start-time fair queueing: Goyal, Vin, Cheng 1996, "Start-time Fair Queuing". Each request has a
 * start tag, in tokens of virtual time: where its tenant's last one ends, or the present of the
 * virtual clock, whichever is later. The one with the lowest tag goes first, and the clock is at
 * the highest tag that was served. So who sends much queues behind himself, and who comes after a
 * pause does not get it back.
 *
 * How long an output gets is not known before. A request is charged for its prompt and at most
 * FAIR_GUESS tokens of output, and the difference is settled with its tenant when it ends: so far
 * as what comes next does not begin before his last one, and so each tenant has an order of his
 * own.
 *
 * Memory is bounded: tenants are told apart by FAIR_SLOTS places of a table, and those that meet in
 * one share what would be theirs. Requests that name no tenant (0) are those of one tenant too: if
 * each of them began now, a stream of them would keep everybody else out.
 */
#pragma once
#include <stdint.h>

enum { FAIR_SLOTS = 4096, FAIR_GUESS = 256 };

struct fair_tenant {
    uint64_t start, end; /* the begin of his last request, and the end of all that he has queued */
};

struct fair_share {
    uint64_t clock, last;       /* the virtual time, and the end of all that was ever queued */
    struct fair_tenant *tenant; /* [FAIR_SLOTS] */
};

void fair_share_init(struct fair_share *fair);
void fair_share_release(struct fair_share *fair);

/* What a request of so many tokens is charged at first. */
int fair_share_cost(int n_prompt, int64_t most_output);
/* The start tag of a request that is queued now. */
uint64_t fair_share_queue(struct fair_share *fair, uint64_t tenant, int cost);
/* A request with this tag begins to run. */
void fair_share_serve(struct fair_share *fair, uint64_t start_tag);
/* It was charged `cost` and has ended after `used` tokens. */
void fair_share_settle(struct fair_share *fair, uint64_t tenant, int cost, int used);
/* Nobody waits or runs: what comes now begins anew. */
void fair_share_rest(struct fair_share *fair);

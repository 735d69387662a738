/* launcher/batch/order.h: which requests of a batch are answered.
 *
 * Requests count from 0. All before `first` are answered; of the ORDER_AHEAD next ones it is known
 * one by one. Nobody sends a request that is further ahead than that, and so a batch of any length
 * needs the same memory, and its answers lie at most so far from their place.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { ORDER_AHEAD = 1 << 16 };

struct batch_order {
    uint64_t first;
    uint64_t n_behind; /* answered, but behind one that is not */
    struct order_slot {
        bool is_there;
        uint64_t value; /* what the owner keeps for it */
    } * slot;           /* [ORDER_AHEAD] of request i: i % ORDER_AHEAD */
};

void batch_order_init(struct batch_order *out);
void batch_order_release(struct batch_order *order); /* all zero is fine */
bool batch_order_has_room(const struct batch_order *order, uint64_t number);
/* Answered: before `first`, or put. */
bool batch_order_has(const struct batch_order *order, uint64_t number);
/* False: it is there already, or too far ahead. */
bool batch_order_put(struct batch_order *order, uint64_t number, uint64_t value);
/* Takes the first one, if it is there: false: it is not. */
bool batch_order_take(struct batch_order *order, uint64_t *value);

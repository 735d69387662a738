#include "launcher/batch/order.h"

#include "base/memory.h"

void batch_order_init(struct batch_order *out)
{
    *out = (struct batch_order){0};
    out->slot = memory_alloc(ORDER_AHEAD, sizeof *out->slot);
}

void batch_order_release(struct batch_order *order)
{
    memory_free(order->slot);
    *order = (struct batch_order){0};
}

bool batch_order_has_room(const struct batch_order *order, uint64_t number)
{
    return number < order->first || number - order->first < ORDER_AHEAD;
}

bool batch_order_has(const struct batch_order *order, uint64_t number)
{
    return number < order->first ||
           (batch_order_has_room(order, number) && order->slot[number % ORDER_AHEAD].is_there);
}

bool batch_order_put(struct batch_order *order, uint64_t number, uint64_t value)
{
    if (batch_order_has(order, number) || !batch_order_has_room(order, number))
        return false;
    order->slot[number % ORDER_AHEAD] = (struct order_slot){.is_there = true, .value = value};
    order->n_behind++;
    return true;
}

bool batch_order_take(struct batch_order *order, uint64_t *value)
{
    struct order_slot *slot = &order->slot[order->first % ORDER_AHEAD];
    if (!slot->is_there)
        return false;
    *value = slot->value;
    *slot = (struct order_slot){0};
    order->first++;
    order->n_behind--;
    return true;
}

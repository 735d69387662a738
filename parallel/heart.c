#include "parallel/heart.h"

#include "base/system.h"

#include <stddef.h>

void heart_look(struct heart *heart, bool waits)
{
    if (heart == NULL || heart->beat == NULL)
        return;
    const int64_t now = clock_now_ns();
    if (now < heart->next_ns)
        return;
    heart->next_ns = now + HEART_MS * 1000000LL;
    heart->beat(heart->context, waits);
}

/* base/bandwidth.h: how fast this machine reads memory, which is the ceiling of all that streams
 * weights. Machines are shared: only what was measured in the same run can be compared. */
#pragma once
#include <stddef.h>

struct team;

/* Bytes per second of one pass of the whole team over `data`, aligned to 8 bytes. What is smaller
 * than the caches of the machine measures them. */
double bandwidth_read(struct team *team, const void *data, size_t n_bytes);

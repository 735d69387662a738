/* launcher/serve/statistics.h: what a server says of itself while it works.
 *
 * Every 10 seconds in which something ran, one line: tokens a second, what runs and waits, how full
 * the KV cache is, what the prefix cache gave. And its heartbeat for systemd, where that wants one.
 */
#pragma once
#include <stdbool.h>

struct event_base;
struct service;
struct statistics;

struct statistics *statistics_create(struct event_base *base, const struct service *service,
                                     bool in_log);
void statistics_destroy(struct statistics *statistics); /* NULL is fine */

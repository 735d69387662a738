/* launcher/bench/target.h: which server is asked, and for what, from options of two kinds.
 *
 *   --base-url URL          or, as vLLM's scripts have it, --host and --port
 *   --endpoint PATH         or --backend, which implies it
 *
 * What is said in two ways must be the same.
 */
#pragma once
#include <stdbool.h>

struct error;
struct options;

/* Afterwards base_url, endpoint and backend are all set, and fit. ERROR_INPUT: they contradict each
 * other. */
bool target_settle(struct options *options, struct error *err);

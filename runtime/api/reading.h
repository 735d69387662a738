/* runtime/api/reading.h: the prompts of a call become ids, in slices.
 *
 * A request may have thousands of texts, or one of megabytes, and to read them takes longer than
 * the streams of others may stand still. So a call reads for api->reading_slice_ns when it comes,
 * and what is left then a slice at a time, by turns with other calls, from api_settle(). A text of
 * some thousand bytes is read in one go, a longer one goes on where it was (prompt.h). The memory
 * of texts that are under way is bounded: where there are many long ones, some wait for others.
 * Only when all of them are read does anything go to an engine: a call is refused as a whole.
 */
#pragma once
#include <stdbool.h>

struct api;
struct api_call;
struct error;

/* Reads call->from, which is borrowed, or copied when it takes longer, and sends the call once all
 * is read. False: refused, and the call is as it was for the caller to end. What is refused later
 * is the failure of the call. */
bool reading_begin(struct api_call *call, struct error *err);
/* For api_settle(): one slice of one call. True: there was something to do. */
bool reading_step(struct api *api);
/* Calls that are not read to their end fail. */
void reading_fail_all(struct api *api, const struct error *why);

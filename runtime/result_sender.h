/* runtime/result_sender.h: the end of a pipeline: picks from the rows of logits (row_picker.h) and
 * sends what a plan gave home to rank 0.
 */
#pragma once
#include "runtime/row_picker.h"

struct error;
struct ranks;
struct result_sender;
struct step_plan;

/* On tensor rank 0 of the last of several stages. `ranks` are borrowed. */
void result_sender_create(struct result_sender **out, const struct ranks *ranks,
                          const struct row_picker_settings *settings);
void result_sender_destroy(struct result_sender *sender); /* NULL is fine */

/* After forward_collect(). May wait for rank 0 to take it. Allocates nothing. ERROR_PEER when that
 * is gone. */
bool result_sender_run(struct result_sender *sender, const struct step_plan *plan,
                       const struct step_view *view, const struct step_result *result,
                       struct error *err);

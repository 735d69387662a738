/* launcher/batch/marks.h: what the answers of a batch depend on, written down when it is begun.
 *
 * An object of JSON in the first record of the journal: the input, the model, the files that make
 * prompts of messages, and each option that changes an answer. A batch goes on only where all of
 * them are what they were; how many ranks, replicas and sequences there are is not among them,
 * because no answer depends on that.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct batch_lines;
struct bytes;
struct error;
struct options;

/* A new reference. `folder` is that of the model; of the weights nothing is known yet. */
bool batch_marks_make(json_t **out, const struct options *options, const char *folder,
                      const struct batch_lines *lines, const char *version, struct error *err);
/* What is known when the ranks are ready: the weights, and what they compute with and on. */
void batch_marks_add_ranks(json_t *marks, uint64_t model_mark, const char *dtype, const char *gpu,
                           int max_model_len);
void batch_marks_set_begin(json_t *marks, int64_t begun_s); /* seconds since 1970 */

/* ERROR_INPUT names the first of `now` that was another one in `then`. */
bool batch_marks_are_same(const json_t *then, const json_t *now, const char *journal,
                          struct error *err);
void batch_marks_write(struct bytes *out, const json_t *marks);
/* A new reference. ERROR_INPUT: they are damaged. */
bool batch_marks_read(json_t **out, const struct bytes *text, const char *journal,
                      struct error *err);
int64_t batch_marks_begin(const json_t *marks); /* seconds since 1970; 0: not there */

/* runtime/gateway/pooling.h: how a model makes a vector of a text, and what the vector means. */
#pragma once
#include "runtime/request/params.h"

#include <jansson.h>
#include <stdbool.h>

struct error;
struct options;

enum pooling_task { TASK_EMBED, TASK_CLASSIFY, TASK_REWARD };

struct pooling_head {
    enum pooling_task task;
    enum pooling pooling;
    int n_labels;   /* of the head; 0: it has none, the vector is the hidden state */
    json_t *labels; /* id2label of config.json, or NULL; owned */
};

/* What options (--task, --pooling) and the folder say: config.json, 1_Pooling/config.json.
 * pooling_head_release() also after a failure. */
bool pooling_head_read(struct pooling_head *out, const struct options *options,
                       const char *model_folder, int n_labels, struct error *err);
void pooling_head_release(struct pooling_head *head);

void pooling_normalize(double *value, int n);     /* to length 1 */
void pooling_probabilities(double *value, int n); /* one output: sigmoid; several: softmax */
/* The name of a label, borrowed from the head; "LABEL_3" (in the buffer) without names. */
const char *pooling_label(const struct pooling_head *head, int label, char buffer[24]);
